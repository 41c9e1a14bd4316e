// A stand-in for an iperf3 that is linked statically: before main glibc reads the link
// /proc/self/exe.
#include "tests/helpers/stand_in.h"

namespace {

bool Succeed() { return true; }

constexpr iperf3_exporter::stand_in::Attempt kAttempts[] = {{"", Succeed}};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
