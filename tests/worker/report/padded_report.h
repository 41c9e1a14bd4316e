// A report in memory as the parser wants it, with a hostile padding: bytes that would go on
// well from any report.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "worker/report/report_parser.h"

namespace iperf3_exporter {

class PaddedReport {
 public:
  explicit PaddedReport(std::string text, char padding = '1')
      : bytes_(std::move(text)), size_(bytes_.size()) {
    bytes_.append(kReportPaddingBytes, padding);
  }

  // Empty when there is no such file.
  static PaddedReport Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return PaddedReport(std::string((std::istreambuf_iterator<char>(in)), {}));
  }

  [[nodiscard]] std::string_view text() const { return std::string_view(bytes_).substr(0, size_); }

 private:
  std::string bytes_;
  std::size_t size_;
};

}  // namespace iperf3_exporter
