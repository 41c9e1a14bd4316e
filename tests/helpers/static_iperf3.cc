// A stand-in for a statically linked iperf3: glibc reads the link /proc/self/exe before main.
#include "tests/helpers/stand_in.h"

namespace {

bool Succeed() { return true; }

constexpr iperf3_exporter::stand_in::Attempt kAttempts[] = {{"", Succeed}};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
