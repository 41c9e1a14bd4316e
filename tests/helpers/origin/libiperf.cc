// The library of origin_iperf3. It lies where only $ORIGIN leads.
extern "C" bool SucceedInLibrary() { return true; }
