import MeshModel
import Telemetry
import Testing

@Suite struct LogTests {
    static let now: UInt64 = 1_763_683_619_123_456_789  // 2025-11-21T00:06:59.123456789Z

    static func record() -> AccessRecord {
        var record = AccessRecord(
            direction: .outbound, source: SocketAddress(IPAddress(v4: 0x0a00_0203), 41000),
            destination: SocketAddress(IPAddress(v4: 0x0a00_0304), 15008))
        record.source.workload = "client"
        record.source.namespace = "app"
        record.source.identity = SpiffeID("spiffe://cluster.local/ns/app/sa/client")
        record.source.cluster = "Kubernetes"
        record.hboneAddress = "10.0.3.4:8080"
        record.service = "server.app.svc.cluster.local"
        record.bytesSent = 67
        record.bytesReceived = 490
        record.duration = 13_999_999
        return record
    }

    static func text(_ log: Log) -> String { String(decoding: log.drain().bytes, as: UTF8.self) }

    @Test func textLineHasKialisFiveColumns() {
        let log = Log()
        log.complete(Self.record(), now: Self.now)
        let fields =
            "src.addr=10.0.2.3:41000 src.workload=\"client\" src.namespace=\"app\" "
            + "src.identity=\"spiffe://cluster.local/ns/app/sa/client\" src.cluster=\"Kubernetes\" "
            + "dst.addr=10.0.3.4:15008 dst.hbone_addr=10.0.3.4:8080 dst.service=\"server.app.svc.cluster.local\" "
            + "direction=\"outbound\" bytes_sent=67 bytes_recv=490 duration=\"13ms\""
        #expect(
            Self.text(log) == "2025-11-21T00:06:59.123456Z\tinfo\taccess\tconnection complete\t\(fields)\n")
    }

    @Test func jsonLineIsFlatWithNumbers() {
        let log = Log(format: .json)
        var record = Self.record()
        record.error = "connection closed due to policy rejection: explicitly denied by: app/deny"
        record.reason = .policyDenied
        record.policy = "app/deny"
        log.complete(record, now: Self.now)
        let line = Self.text(log)
        #expect(line.hasPrefix("{\"level\":\"error\",\"time\":\"2025-11-21T00:06:59.123456Z\",\"scope\":\"access\","))
        #expect(line.contains("\"bytes_sent\":67,\"bytes_recv\":490,\"duration\":\"13ms\",\"error\":"))
        #expect(line.hasSuffix("\"reason\":\"policy_denied\",\"policy\":\"app/deny\"}\n"))
    }

    @Test func earlyFailureIsShort() {
        let log = Log()
        var record = Self.record()
        record.error = "tls handshake failed"
        record.reason = .tlsFailed
        log.failed(record, now: Self.now)
        #expect(
            Self.text(log).hasSuffix(
                "\twarn\taccess\tconnection failed\tsrc.addr=10.0.2.3:41000 dst.addr=10.0.3.4:15008 "
                    + "direction=\"outbound\" error=\"tls handshake failed\" reason=\"tls_failed\"\n"))
    }

    static let hostile = [
        "a\nb", "a\r\nb", "a\tb", "\u{1b}[31mred\u{1b}[0m", "quote\"and\\slash", "\u{0}nul", "\u{202e}flip",
        "\u{9b}31m",
        "\u{2028}line", "é ok 漢字", String(repeating: "x", count: 100_000), "\u{feff}bom", "\u{e0041}tag", "\u{7f}",
    ]

    @Test(arguments: hostile, [LogFormat.text, .json])
    func peerTextStaysInOneLine(text: String, format: LogFormat) {
        let log = Log(format: format)
        var record = Self.record()
        record.hboneAddress = text
        record.service = text
        record.error = text
        log.complete(record, now: Self.now)
        log.write(.error, .proxy, text, now: Self.now) { $0.field("cause", string: text) }
        let bytes = log.drain().bytes
        #expect(bytes.filter { $0 == 10 }.count == 2)
        #expect(bytes.count < 10_000)
        let lines = String(decoding: bytes, as: UTF8.self)
        for scalar in lines.unicodeScalars {
            let value = scalar.value
            #expect(value >= 0x20 || value == 10 || (format == .text && value == 9))
            #expect(!(0x7f...0x9f).contains(value) && value != 0x202e && value != 0x2028 && value < 0xe0000)
        }
        if format == .text {
            for line in lines.split(separator: "\n") { #expect(line.split(separator: "\t").count == 5) }
        }
    }

    @Test func escapesRoundTrip() {
        var bytes: [UInt8] = []
        bytes.append(jsonString: "a\"b\\\n\u{1b}\u{1f600}\u{e0041}")
        #expect(String(decoding: bytes, as: UTF8.self) == #""a\"b\\\n\u001b😀\udb40\udc41""#)
        bytes = []
        bytes.append(quoted: "a\"b\\\n\u{1b}\u{202e}é")
        #expect(String(decoding: bytes, as: UTF8.self) == #""a\"b\\\n\u{1b}\u{202e}é""#)
    }

    @Test func hiddenLineIsNotMade() {
        let log = Log()
        var made = false
        func message() -> String {
            made = true
            return "x"
        }
        log.write(.debug, .proxy, message(), now: 0)
        #expect(!made)
        #expect(log.drain().lines == 0)
    }

    @Test func fullQueueLosesAndCounts() {
        let log = Log(lineLimit: 10)
        for number in 0..<25 { log.write(.info, .proxy, "line \(number)", now: 0) }
        let batch = log.drain()
        #expect(batch.lines == 10)
        #expect(batch.dropped == 15)
        log.write(.info, .proxy, "again", now: 0)
        #expect(log.drain().dropped == 0)
        #expect(log.dropped == 15)
    }

    @Test func fullBytesLoseAndCount() {
        let log = Log(byteLimit: 1000)
        for _ in 0..<100 { log.write(.info, .proxy, "0123456789", now: 0) }
        let batch = log.drain()
        #expect(batch.bytes.count <= 1000)
        #expect(batch.lines > 0)
        #expect(UInt64(batch.lines) + batch.dropped == 100)
    }

    @Test func writerIsWokenOncePerBatch() {
        let log = Log()
        let woken = Lock(0)
        log.onFirstLine { woken.withLock { $0 += 1 } }
        for _ in 0..<5 { log.write(.info, .proxy, "x", now: 0) }
        _ = log.drain()
        log.write(.info, .proxy, "x", now: 0)
        #expect(woken.withLock { $0 } == 2)
    }
}
