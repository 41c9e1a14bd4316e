// A report in memory as the parser requires it, with hostile padding: bytes that could continue any
// report.
#pragma once

#include <zlib.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "worker/iperf3/report_parser.h"

namespace iperf3_exporter {

class PaddedReport {
 public:
  explicit PaddedReport(std::string text, char padding = '1')
      : bytes_(std::move(text)), size_(bytes_.size()) {
    bytes_.append(kReportPaddingBytes, padding);
  }

  // From `path` or, for a large report, from `path`.gz. Empty if neither exists.
  static PaddedReport Read(const std::string& path) {
    std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
    if (!file) file.reset(gzopen((path + ".gz").c_str(), "rb"));
    std::string text;
    char buffer[65536];
    while (file) {
      const int bytes = gzread(file.get(), buffer, sizeof buffer);  // also reads uncompressed files
      if (bytes <= 0) break;
      text.append(buffer, static_cast<std::size_t>(bytes));
    }
    return PaddedReport(std::move(text));
  }

  [[nodiscard]] std::string_view text() const { return std::string_view(bytes_).substr(0, size_); }

 private:
  std::string bytes_;
  std::size_t size_;
};

}  // namespace iperf3_exporter
