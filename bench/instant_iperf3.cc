// A stand-in for iperf3 that answers at once with a report of one TCP stream, so that the
// benchmarks measure the exporter alone.
#include "tests/helpers/stand_in.h"

namespace {

constexpr iperf3_exporter::stand_in::Attempt kAttempts[] = {{"", [] { return true; }}};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
