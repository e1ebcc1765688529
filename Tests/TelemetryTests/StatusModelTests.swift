import MeshModel
import StatusModel
import Testing

@Suite struct StatusModelTests {
    @Test(
        arguments: [
            ("2026-11-21T00:06:59Z", 1_795_219_619), ("1970-01-01T00:00:00Z", 0), ("2000-02-29T23:59:59Z", 951_868_799),
            ("1969-12-31T23:59:59Z", -1), ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799), ("0000-01-01T00:00:00Z", -62_167_219_200),
        ] as [(String, Int64)])
    func times(text: String, seconds: Int64) {
        #expect(StatusTime(unixSeconds: seconds).description == text)
        #expect(CivilTime(text)?.unixSeconds == seconds)
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        #expect(CivilTime(text)?.unixNanoseconds == (overflow ? nil : nanoseconds))
    }

    @Test(arguments: [
        "", "2026-11-21", "2026-11-21T00:06:59", "2026-13-21T00:06:59Z", "2026-11-21T00:06:59.Z",
        "2026-11-21 00:06:59Z",
        "2026-11-21T00:06:59.1234567890Z", "२०२६-11-21T00:06:59Z", "2026-11-21T24:06:59Z",
    ])
    func wrongTimes(text: String) {
        #expect(CivilTime(text) == nil)
    }

    @Test func decimalsOfASecond() {
        #expect(CivilTime("1970-01-01T00:00:00.5Z")?.unixNanoseconds == 500_000_000)
        var bytes: [UInt8] = []
        CivilTime(unixNanoseconds: 1_234_567).write(into: &bytes, decimals: 6)
        #expect(String(decoding: bytes, as: UTF8.self) == "1970-01-01T00:00:00.001234Z")
    }

    @Test(arguments: [
        ("app/web-1@/run/netns/web", PodRequest(namespace: "app", name: "web-1", netns: "/run/netns/web")),
        ("app/web@/proc/1/ns/net", PodRequest(namespace: "app", name: "web", netns: "/proc/1/ns/net")),
        ("app/web", PodRequest(namespace: "app", name: "web")),
    ])
    func pods(text: String, expected: PodRequest) {
        #expect(PodRequest(text) == expected)
        #expect(expected.description == text)
    }

    @Test(arguments: [
        "", "web", "/web", "app/", "a/b/c", "app/web@", "app/web@relative", "App/web", "app/we b", "../x@/",
    ])
    func wrongPods(text: String) {
        #expect(PodRequest(text) == nil)
    }

    @Test func problemsNameWhatIsWrong() {
        var report = StatusReport(
            program: "ztund", version: "0", pid: 1, startedAt: StatusTime(unixSeconds: 0), uptimeSeconds: 0)
        report.ready = true
        report.assess()
        #expect(report.problems.isEmpty)
        report.pods = [
            PodStatus(
                namespace: "app", name: "web", netns: "/x", state: .failed, since: StatusTime(unixSeconds: 0))
        ]
        report.pods[0].reason = "nft is missing"
        report.certificates = [CertificateStatus(identity: "spiffe://a", state: .unavailable, error: "no key")]
        report.state.lastError = "line 3"
        report.workers = [WorkerStatus(index: 1, answering: false)]
        report.ready = false
        report.pending = ["proxy", "state manager"]
        report.assess()
        #expect(
            report.problems == [
                "ztund is not ready, waiting for: proxy, state manager", "pod app/web is failed: nft is missing",
                "certificate of spiffe://a is Unavailable: no key", "state is not current: line 3",
                "worker 1 does not answer",
            ])
    }
}
