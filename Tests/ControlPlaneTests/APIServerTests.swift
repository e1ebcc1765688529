import Testing

@testable import ControlPlane

/// Where the API server is, and what is shown to it.
@Suite struct APIServerTests {
    @Test(
        arguments: [
            ("https://10.0.0.1", "10.0.0.1", 443, ""), ("https://api.example:6443/", "api.example", 6443, ""),
            ("https://[fd00::1]:8443/k8s/c1", "fd00::1", 8443, "/k8s/c1"), ("HTTPS://a", "a", 443, ""),
        ] as [(String, String, UInt16, String)])
    func addresses(_ url: String, _ host: String, _ port: UInt16, _ path: String) throws {
        let server = try #require(APIServer(url: url))
        #expect((server.host, server.port, server.path) == (host, port, path))
    }

    @Test(arguments: [
        "", "http://a", "https://", "https://a:0", "https://a:b", "https://[::1", "https://u@a", "https://a b",
    ])
    func whatIsNoAddress(_ url: String) { #expect(APIServer(url: url) == nil) }

    private func config(_ user: String, cluster: String = "server: https://a:1") -> [UInt8] {
        Array(
            """
            apiVersion: v1
            kind: Config
            current-context: c
            contexts: [{name: c, context: {cluster: k, user: u}}, {name: d, context: {}}]
            clusters: [{name: k, cluster: {\(cluster)}}]
            users: [{name: u, user: {\(user)}}]
            """.utf8)
    }

    @Test func theCurrentContextCounts() throws {
        let server = try Kubeconfig.server(
            config(
                "client-certificate-data: YWI=, client-key: key.pem, tokenFile: /t",
                cluster: "server: 'https://a:1', certificate-authority: ca.crt, tls-server-name: kubernetes"),
            file: "/etc/x/config")
        #expect(server.roots == .file("/etc/x/ca.crt") && server.certificate == .bytes([97, 98]))
        #expect(server.key == .file("/etc/x/key.pem") && server.token == .file("/t"))
        #expect(server.serverName == "kubernetes" && server.description == "https://a:1")
    }

    @Test(arguments: [
        ("exec: {command: aws}", "server: 'https://a'", "programs that fetch credentials are not run"),
        ("auth-provider: {name: oidc}", "server: 'https://a'", "programs that fetch credentials are not run"),
        ("username: a, password: b", "server: 'https://a'", "username and password"),
        (
            "token: t", "server: 'https://a', insecure-skip-tls-verify: true",
            "insecure-skip-tls-verify is not supported"
        ),
        ("token: t", "server: 'https://a', proxy-url: 'http://p'", "proxy-url is not supported"),
        ("token: t", "server: 'http://a'", "is not https://HOST"),
        ("token: 'a b'", "server: 'https://a'", "no bearer token"),
        ("client-certificate-data: YWI=", "server: 'https://a'", "needs client-key"),
        ("client-certificate-data: '###'", "server: 'https://a'", "base64"),
    ]) func whatCannotBeDoneIsSaid(_ user: String, _ cluster: String, _ text: String) {
        #expect {
            try Kubeconfig.server(config(user, cluster: cluster), file: "config")
        } throws: { "\($0)".contains(text) }
    }

    @Test func outsideAClusterItIsSaidWhatToGive() {
        #expect {
            try APIServer(inCluster: { _ in nil })
        } throws: { "\($0)".contains("--kubeconfig") }
        #expect {
            try APIServer(inCluster: { $0 == "KUBERNETES_SERVICE_HOST" ? "10.0.0.1" : "x" })
        } throws: { "\($0)".contains("is not a port") }
        #expect {
            try APIServer(inCluster: { $0 == "KUBERNETES_SERVICE_HOST" ? "10.0.0.1" : nil }, folder: "/nonexistent")
        } throws: { "\($0)".contains("automountServiceAccountToken") }
    }
}

/// What is written on policies.
@Suite struct PolicyConditionTests {
    private let policy = ObjectReference(kind: "AuthorizationPolicy", namespace: "n", name: "p")

    @Test func diagnosticsBecomeOneCondition() {
        let other = ObjectReference(kind: "AuthorizationPolicy", namespace: "n", name: "q")
        let conditions = PolicyCondition.all(
            [policy, other],
            [
                ManifestDiagnostic(.warning, .selectsNothing, policy, at: nil, "idle"),
                ManifestDiagnostic(.error, .unsupported, policy, at: nil, "HTTP"),
            ])
        #expect(conditions[policy] == PolicyCondition(isAccepted: false, message: "idle; HTTP"))
        #expect(conditions[other] == PolicyCondition(isAccepted: true, message: "enforced as written"))
    }

    @Test func othersConditionsStayAndEqualOnesAreNotWritten() throws {
        let condition = PolicyCondition(isAccepted: false, message: "say \"why\"\n")
        let object =
            #"{"metadata": {"resourceVersion": "7"}, "status": {"conditions": [{"type": "ZtunnelAccepted", "n": 1.5, "b": [true, null]}]}}"#
        let text = try #require(condition.patch(of: try JSONReader.read(Array(object.utf8)), now: "T1"))
        let patch = try JSONReader.read(Array(text.utf8))
        #expect(text.contains(#"{"type":"ZtunnelAccepted","n":1.5,"b":[true,null]}"#))
        #expect(patch["metadata"]?["resourceVersion"]?.string == "7")
        guard case .sequence(let items)? = patch["status"]?["conditions"]?.content else { throw CancellationError() }
        #expect(
            items.count == 2 && items[1]["message"]?.string == "say \"why\"\n" && items[1]["status"]?.string == "False")
        // Written, it needs no writing again; with another text it keeps the time of its status.
        let written = try JSONReader.read(
            Array("{\"metadata\":{\"resourceVersion\":\"8\"},\"status\":{\"conditions\":[\(items[1].json)]}}".utf8))
        #expect(condition.patch(of: written, now: "T2") == nil)
        let next = try #require(PolicyCondition(isAccepted: false, message: "else").patch(of: written, now: "T2"))
        #expect(next.contains(#""lastTransitionTime":"T1""#))
    }
}
