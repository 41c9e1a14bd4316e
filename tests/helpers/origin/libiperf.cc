// The library of origin_iperf3, in a directory that only $ORIGIN finds.
extern "C" bool SucceedInLibrary() { return true; }
