#include "worker/iperf3/report_parser.h"

#include "worker/iperf3/measurement_builder.h"
#include "worker/iperf3/regular_report.h"
#include "worker/iperf3/report_values.h"
#include "worker/iperf3/report_walk.h"

namespace iperf3_exporter {

struct ReportParser::State {
  RegularReportReader regular;
  ReportWalker walker;
  ReportValues values;  // of the walker
};

namespace {

Report BuildReport(const ReportValues& values, Protocol protocol, Direction direction) {
  Report report;
  report.outcome = BuildMeasurement(values, protocol, direction, report.measurement)
                       ? ReportOutcome::kMeasured
                       : ReportOutcome::kNoSums;
  return report;
}

}  // namespace

ReportParser::ReportParser() : state_(std::make_unique<State>()) {}
ReportParser::~ReportParser() = default;

Report ReportParser::Parse(std::string_view text, Protocol protocol, Direction direction) {
  if (state_->regular.Read(text)) {
    return BuildReport(state_->regular.values(), protocol, direction);
  }
  return ParsePlainly(text, protocol, direction);
}

Report ReportParser::ParsePlainly(std::string_view text, Protocol protocol, Direction direction) {
  Report report;
  state_->values.Clear();
  switch (state_->walker.Walk(text, state_->values, report.error_text)) {
    case WalkOutcome::kValid:
      return BuildReport(state_->values, protocol, direction);
    case WalkOutcome::kError:
      report.outcome = ReportOutcome::kError;
      break;
    case WalkOutcome::kInvalid:
      break;
  }
  return report;
}

}  // namespace iperf3_exporter
