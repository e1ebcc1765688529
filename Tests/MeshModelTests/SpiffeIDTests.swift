import MeshModel
import Testing

/// Which texts are identities; the look-alikes of trust domains and paths are refused.
@Suite struct SpiffeIDTests {
    @Test(arguments: [
        ("spiffe://cluster.local/ns/default/sa/server", "cluster.local", "default", "server"),
        ("spiffe://td/ns/a/sa/b", "td", "a", "b"), ("spiffe://a-b_c.9/ns/A.b/sa/C_d", "a-b_c.9", "A.b", "C_d"),
        ("spiffe://td/ns/.../sa/..a", "td", "...", "..a"),
    ]) func reads(_ text: String, _ trustDomain: String, _ namespace: String, _ account: String) throws {
        let id = try #require(SpiffeID(text))
        #expect(id == SpiffeID(trustDomain: trustDomain, namespace: namespace, serviceAccount: account))
        #expect(id.description == text)
    }

    @Test(arguments: [
        // Trust domains that look like cluster.local.
        "spiffe://Cluster.local/ns/a/sa/b", "spiffe://cluster.local./ns/a/sa/b", "spiffe://.cluster.local/ns/a/sa/b",
        "spiffe://cluster.local:443/ns/a/sa/b", "spiffe://user@cluster.local/ns/a/sa/b",
        "spiffe://u:p@cluster.local/ns/a/sa/b", "spiffe://cluster%2elocal/ns/a/sa/b",
        "spiffe://cluster.local%/ns/a/sa/b",
        "spiffe://cluster.local\u{0}/ns/a/sa/b", "spiffe://cluster.local\u{0}.evil/ns/a/sa/b",
        "spiffe://cl\u{443}ster.local/ns/a/sa/b", "spiffe://cluster\u{3002}local/ns/a/sa/b", "spiffe:///ns/a/sa/b",
        "spiffe://cluster.local\\evil/ns/a/sa/b", "spiffe://[::1]/ns/a/sa/b", "spiffe://*/ns/a/sa/b",
        // Query, fragment, scheme.
        "spiffe://td/ns/a/sa/b?x", "spiffe://td/ns/a/sa/b#x", "spiffe://td?/ns/a/sa/b", "spiffe://td#/ns/a/sa/b",
        "SPIFFE://td/ns/a/sa/b", "spiffe:/td/ns/a/sa/b", "spiffe:td/ns/a/sa/b", "https://td/ns/a/sa/b", "td/ns/a/sa/b",
        " spiffe://td/ns/a/sa/b", "spiffe://td/ns/a/sa/b ", "spiffe://td/ns/a/sa/b\n",
        "spiffe://td/ns/a/sa/b,spiffe://x",
        // Paths.
        "", "spiffe://", "spiffe://td", "spiffe://td/", "spiffe://td/ns", "spiffe://td/ns/a", "spiffe://td/ns/a/sa",
        "spiffe://td/ns/a/sa/", "spiffe://td/ns//sa/b", "spiffe://td/ns/a/sa//b", "spiffe://td/ns/a/sa/b/",
        "spiffe://td/ns/a/sa/b/c", "spiffe://td//ns/a/sa/b", "spiffe://td/ns/./sa/b", "spiffe://td/ns/../sa/b",
        "spiffe://td/ns/a/sa/..", "spiffe://td/ns/a/sa/.", "spiffe://td/NS/a/sa/b", "spiffe://td/ns/a/SA/b",
        "spiffe://td/sa/b/ns/a", "spiffe://td/ns/a%2fb/sa/c", "spiffe://td/ns/a/sa/%2e%2e", "spiffe://td/ns/a b/sa/c",
        "spiffe://td/ns/\u{e9}/sa/c", "spiffe://td/ns/a/sa/b\u{301}", "spiffe://td/ns/a/sa/b\u{0}",
        "spiffe://td/ns/a/sa/\u{212a}", "spiffe://td/ns/a*/sa/b", "spiffe://td/ns/a/sa/b;x",
    ]) func refuses(_ text: String) {
        #expect(SpiffeID(text) == nil)
    }

    @Test func lengthIsLimited() {
        let room = SpiffeID.longest - "spiffe://td/ns/a/sa/".utf8.count
        #expect(SpiffeID("spiffe://td/ns/a/sa/" + String(repeating: "b", count: room)) != nil)
        #expect(SpiffeID("spiffe://td/ns/a/sa/" + String(repeating: "b", count: room + 1)) == nil)
        #expect(SpiffeID("spiffe://\(String(repeating: "t", count: 255))/ns/a/sa/b") != nil)
        #expect(SpiffeID("spiffe://\(String(repeating: "t", count: 256))/ns/a/sa/b") == nil)
    }

    @Test func aSuffixOfATrustDomainIsAnotherTrustDomain() throws {
        let mine = try #require(SpiffeID("spiffe://cluster.local/ns/a/sa/b"))
        for text in ["spiffe://evil-cluster.local/ns/a/sa/b", "spiffe://cluster.local.evil/ns/a/sa/b"] {
            let other = try #require(SpiffeID(text))
            #expect(other != mine && other.trustDomain != mine.trustDomain)
        }
    }

    @Test(arguments: [
        ("a/b", true), ("default/server.default.svc", true), ("a", false), ("a/", false), ("/b", false),
        ("a/b/c", false),
        ("", false), ("/", false),
    ]) func serviceNames(_ text: String, _ valid: Bool) {
        #expect((ServiceName(text) != nil) == valid)
        if let name = ServiceName(text) { #expect(name.description == text) }
    }
}
