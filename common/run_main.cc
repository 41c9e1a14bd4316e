#include "common/run_main.h"

#include <unistd.h>

#include <cstdio>
#include <exception>

namespace iperf3_exporter {
namespace {

const char* program_name = "";

// Call it only while an exception is handled, or from the terminate handler.
void PrintCurrentException() {
  try {
    throw;
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "%s: terminated by an exception: %s\n", program_name, exception.what());
  } catch (...) {
    std::fprintf(stderr, "%s: terminated by an exception\n", program_name);
  }
}

[[noreturn]] void OnTerminate() {
  if (std::current_exception()) {
    PrintCurrentException();
  } else {
    std::fprintf(stderr, "%s: terminated without an exception\n", program_name);
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
