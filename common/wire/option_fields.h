// The options of a test, and what the installed iperf3 has, as fields of a message. Pure.
#pragma once

#include "common/iperf3/option_table.h"
#include "common/wire/frame_fields.h"

namespace iperf3_exporter::wire {

void PutAddress(Writer& out, const IpAddress& address);
[[nodiscard]] IpAddress GetAddress(Reader& in, const char* field);

// Row by row. The reader refuses what is outside of a row's bounds.
void PutTest(Writer& out, const TestOptions& test);
[[nodiscard]] TestOptions GetTest(Reader& in);

void PutCapabilities(Writer& out, const Iperf3Capabilities& capabilities);
[[nodiscard]] Iperf3Capabilities GetCapabilities(Reader& in);

}  // namespace iperf3_exporter::wire
