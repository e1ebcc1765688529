import Testing

@testable import ControlPlane

@Suite struct CertificateLifetimeTests {
    @Test(arguments: [("24h", 86_400), ("90m", 5400), ("1h30m", 5400), ("2s", 2), ("1m1s", 61), ("2160h", 7_776_000)])
    func isReadAsIstioWritesIt(text: String, seconds: Int64) {
        #expect(CertificateLifetime.seconds(text) == seconds)
    }

    @Test(arguments: [
        "", "24", "h", "1s", "0s", "-5s", "5 s", "5d", "1m1h", "1h1h", "1.5h", "2161h", "99999999999999999999s", "1h99",
        "٣s",
    ])
    func everythingElseIsRefused(text: String) {
        #expect(CertificateLifetime.seconds(text) == nil)
    }
}
