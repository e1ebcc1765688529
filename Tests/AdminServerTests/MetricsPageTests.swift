import AdminServer
import StatusModel
import Testing

@Suite struct MetricsPageTests {
    static func page(_ metric: Metric, openMetrics: Bool = false) -> String {
        var page = MetricsPage(openMetrics: openMetrics)
        page.write(metric)
        return String(decoding: page.finished(), as: UTF8.self)
    }

    @Test(arguments: [
        ("plain", "plain"), ("a\"b", "a\\\"b"), ("a\\b", "a\\\\b"), ("a\nb", "a\\nb"), ("\u{1b}[31m", "\u{fffd}[31m"),
        ("\u{9b}é漢", "\u{fffd}é漢"), ("a\r\u{2028}b", "a\u{fffd}\u{fffd}b"),
    ])
    func labelValues(value: String, written: String) {
        let metric = Metric("m", .gauge, help: "h", samples: [.init(1, labels: [.init("l", value)])])
        #expect(Self.page(metric) == "# HELP m h\n# TYPE m gauge\nm{l=\"\(written)\"} 1\n")
    }

    @Test(arguments: [
        (0.0, "0"), (1e15, "1000000000000000"), (0.5, "0.5"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
        (-3, "-3"),
    ])
    func values(value: Double, written: String) {
        #expect(Self.page(Metric("m", .gauge, help: "h", value: value)).hasSuffix("\nm \(written)\n"))
    }

    @Test func counterFamilies() {
        let metric = Metric("m", .counter, help: "a\nb\\c", value: 2)
        #expect(Self.page(metric) == "# HELP m_total a\\nb\\\\c\n# TYPE m_total counter\nm_total 2\n")
        #expect(
            Self.page(metric, openMetrics: true) == "# HELP m a\\nb\\\\c\n# TYPE m counter\nm_total 2\n# EOF\n")
        #expect(Self.page(Metric("m", .gauge, help: "h", samples: [])).isEmpty)
    }

    @Test func processFiguresAreTrue() throws {
        var page = MetricsPage(openMetrics: false)
        page.write(
            StatusReport(
                program: "ztund", version: "v", pid: 1, startedAt: StatusTime(unixSeconds: 5), uptimeSeconds: 0))
        let text = String(decoding: page.finished(), as: UTF8.self)
        #expect(text.contains("istio_build{component=\"ztunnel\",tag=\"v\"} 1\n"))
        #expect(text.contains("\nprocess_start_time_seconds 5\n"))
        for name in ["process_open_fds ", "process_max_fds ", "process_resident_memory_bytes "] {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name) })
            #expect(try #require(Double(line.dropFirst(name.count))) > 2)
        }
    }
}
