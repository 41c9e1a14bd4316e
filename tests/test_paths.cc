#include "tests/test_paths.h"

namespace iperf3_exporter {

std::string BuiltProgram(const std::string& name) { return TEST_BINARY_DIR "/" + name; }
std::string TestData(const std::string& path) { return TEST_DATA_DIR "/" + path; }
std::string SourceFile(const std::string& path) { return TEST_SOURCE_DIR "/" + path; }

}  // namespace iperf3_exporter
