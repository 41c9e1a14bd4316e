// A stand-in for an iperf3 whose library is found by a RUNPATH with $ORIGIN. For that the loader of
// glibc reads the link /proc/self/exe.
#include "tests/helpers/stand_in.h"

extern "C" bool SucceedInLibrary();

namespace {

constexpr iperf3_exporter::stand_in::Attempt kAttempts[] = {{"", SucceedInLibrary}};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
