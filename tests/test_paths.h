// Where tests find what was built and what is stored beside them. The directories are compiled into
// one file only, so that a compiler cache serves all other files for a checkout in any directory.
#pragma once

#include <string>

namespace iperf3_exporter {

// Absolute paths of a program in the directory of built programs, of a file in tests/testdata, and
// of a file in the source tree.
[[nodiscard]] std::string BuiltProgram(const std::string& name);
[[nodiscard]] std::string TestData(const std::string& path);
[[nodiscard]] std::string SourceFile(const std::string& path);

}  // namespace iperf3_exporter
