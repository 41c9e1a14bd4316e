#include "common/run_main.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>

#include "common/stderr_output.h"

namespace iperf3_exporter {
namespace {

const char* program_name = "";

void Print(const char* what, const char* detail = "") {
  std::array<char, 512> line;
  const int length =
      std::snprintf(line.data(), line.size(), "%.100s: %s%.300s\n", program_name, what, detail);
  WriteToStderr({line.data(), static_cast<std::size_t>(std::max(length, 0))});
}

// Call it only while an exception is handled, or from the terminate handler.
void PrintCurrentException() {
  try {
    throw;
  } catch (const std::exception& exception) {
    Print("terminated by an exception: ", exception.what());
  } catch (...) {
    Print("terminated by an exception");
  }
}

[[noreturn]] void OnTerminate() {
  if (std::current_exception()) {
    PrintCurrentException();
  } else {
    Print("terminated without an exception");
  }
  ::_exit(kExitException);
}

}  // namespace

int RunMain(const char* program, const std::function<int()>& body) {
  program_name = program;
  std::set_terminate(OnTerminate);
  try {
    return body();
  } catch (...) {
    PrintCurrentException();
    return kExitException;
  }
}

}  // namespace iperf3_exporter
