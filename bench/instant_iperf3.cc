// Stands in for iperf3 in the benchmarks: answers at once with a report of one TCP stream, so
// that what is measured is the exporter. Knows what a worker asks at its start.
#include <cstdio>
#include <cstring>

namespace {

constexpr char kVersion[] = "iperf 3.12 (cJSON 1.7.15)\n";
constexpr char kHelp[] =
    "  --bidir  --bind-dev  --dscp  --connect-timeout  --zerocopy  --congestion  --cport\n";
constexpr char kReport[] = R"({
	"start":	{
		"connected":	[{
				"socket":	5,
				"local_host":	"127.0.0.1",
				"local_port":	51060,
				"remote_host":	"127.0.0.1",
				"remote_port":	31001
			}],
		"version":	"iperf 3.12",
		"system_info":	"Linux bench 6.1.0 #1 SMP x86_64",
		"timestamp":	{
			"time":	"Mon, 23 Nov 2026 09:24:44 GMT",
			"timesecs":	1795425884
		},
		"test_start":	{
			"protocol":	"TCP",
			"num_streams":	1,
			"duration":	1,
			"reverse":	0
		}
	},
	"intervals":	[],
	"end":	{
		"streams":	[{
				"sender":	{
					"socket":	5,
					"start":	0,
					"end":	0.99009,
					"seconds":	0.99009,
					"bytes":	1786511360,
					"bits_per_second":	14290804707.576319,
					"retransmits":	5,
					"max_snd_cwnd":	1571592,
					"max_snd_wnd":	32963584,
					"max_rtt":	69,
					"min_rtt":	69,
					"mean_rtt":	69,
					"sender":	true
				},
				"receiver":	{
					"socket":	5,
					"start":	0,
					"end":	0.99319,
					"seconds":	0.99009,
					"bytes":	1782511385,
					"bits_per_second":	14214746040.131979,
					"sender":	true
				}
			}],
		"sum_sent":	{
			"start":	0,
			"end":	0.99009,
			"seconds":	0.99009,
			"bytes":	1786511360,
			"bits_per_second":	14290804707.576319,
			"retransmits":	5,
			"sender":	true
		},
		"sum_received":	{
			"start":	0,
			"end":	0.99319,
			"seconds":	0.99319,
			"bytes":	1782511385,
			"bits_per_second":	14214746040.131979,
			"sender":	true
		},
		"cpu_utilization_percent":	{
			"host_total":	29.604406789451509,
			"host_user":	0.4206806780687331,
			"host_system":	29.183726111382779,
			"remote_total":	39.1105635283997,
			"remote_user":	1.9568439698284583,
			"remote_system":	37.153719558571247
		},
		"sender_tcp_congestion":	"cubic",
		"receiver_tcp_congestion":	"cubic"
	}
}
)";

const char* AnswerTo(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--version") == 0 || std::strcmp(argv[i], "-v") == 0) return kVersion;
    if (std::strcmp(argv[i], "--help") == 0 || std::strcmp(argv[i], "-h") == 0) return kHelp;
  }
  return kReport;
}

}  // namespace

int main(int argc, char** argv) {
  std::fputs(AnswerTo(argc, argv), stdout);
  return 0;
}
