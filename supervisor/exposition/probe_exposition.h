// The metrics of a probe (docs/REFERENCE.md).
#pragma once

#include <span>
#include <string>

#include "supervisor/config/probe_settings.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/exposition/exposition_writer.h"
#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

// The complete page of `report`. What was not measured is left out. After a bidirectional test
// every metric of a direction has two samples, with the label `direction`. With ProbeLabels::kFork
// every sample has that label, and a value of the whole probe is repeated for each direction. Pure.
[[nodiscard]] std::string BuildProbePage(const ProbeReport& report, const ProbePageStyle& style,
                                         ExpositionFormat format);

// A report, and the labels that all its samples have.
class LabelledReport {
 public:
  // `labels` comes from FormatLabels. `report` must outlive this.
  LabelledReport(const ProbeReport& report, std::string labels);

  [[nodiscard]] const ProbeReport& report() const { return *report_; }
  [[nodiscard]] const std::string& labels() const { return labels_; }
  // The same with the label `direction`.
  [[nodiscard]] const std::string& upload_labels() const { return upload_labels_; }
  [[nodiscard]] const std::string& download_labels() const { return download_labels_; }

 private:
  const ProbeReport* report_;
  std::string labels_;
  // Empty if that direction was not tested.
  std::string upload_labels_;
  std::string download_labels_;
};

// Adds each family of a probe's metrics once, with the samples of all `reports`.
void AddProbeFamilies(std::span<const LabelledReport> reports, const ProbePageStyle& style,
                      ExpositionWriter& writer);

}  // namespace iperf3_exporter
