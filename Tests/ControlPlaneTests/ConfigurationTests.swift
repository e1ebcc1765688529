import MeshModel
import TLS
import Testing

@testable import ControlPlane

@Suite struct ConfigurationTests {
    private func options(_ text: String) throws(ConfigurationError) -> NodeOptions {
        try NodeOptions(parsing: Array(text.utf8), file: "ztun.yaml")
    }

    static let full = """
        state: /etc/ztun/mesh.yaml
        runDir: /run/x
        caDir: /var/lib/ztun/ca
        trustDomain: td.example
        workers: 3
        adminAddress: 127.0.0.1:16000
        metricsAddress: "[::]:16020"
        readinessAddress: "[::]:16021"
        logFormat: json
        logLevel: debug
        poolMaxStreams: 50
        capture: external
        pods:
        - default/a@/run/netns/a
        - {namespace: default, name: b, netns: /run/netns/b}
        """

    @Test func everyKeyArrives() throws {
        let made = try NodeConfiguration(try options(Self.full))
        #expect(made.program.state == "/etc/ztun/mesh.yaml")
        #expect(made.program.runDirectory == "/run/x")
        #expect(
            made.program.identitySource
                == .authority(directory: "/var/lib/ztun/ca", trustDomain: "td.example", lifetime: 86_400))
        #expect(made.program.workers == .exactly(3))
        #expect(made.program.adminAddress.description == "127.0.0.1:16000")
        #expect(made.program.metricsAddress.port == 16020)
        #expect(made.program.readinessAddress.port == 16021)
        #expect(made.program.logFormat == .json)
        #expect(made.program.logLevel == "debug")
        #expect(made.program.poolMaxStreams == 50)
        #expect(made.capture == .external)
        #expect(made.pods.map(\.description) == ["default/a@/run/netns/a", "default/b@/run/netns/b"])
    }

    @Test func flagsWinOverTheFile() throws {
        var flags = NodeOptions()
        flags.capture = .nft
        flags.program.workers = .auto
        flags.program.roots = "/roots.pem"
        flags.program.identities = [
            try #require(IdentityReference("spiffe://td.example/ns/default/sa/a=/c.pem,/k.pem"))
        ]
        flags.pods = [try #require(PodReference("x/y@/z"))]
        let made = try NodeConfiguration(flags.over(try options(Self.full)))
        #expect(made.capture == .nft)
        #expect(made.program.workers == .auto)
        #expect(made.pods.map(\.description) == ["x/y@/z"])
        #expect(made.program.logLevel == "debug")
        guard case .files(let files) = made.program.identitySource else {
            Issue.record("the file's caDir was not replaced")
            return
        }
        #expect(files.map(\.keyPath) == ["/k.pem"])
    }

    @Test func anEmptyFileSaysNothing() throws {
        #expect(try options("# nothing yet\n") == NodeOptions())
    }

    @Test func defaultsAreTheDocumentedOnes() throws {
        let made = try NodeConfiguration(try options("{state: s, caDir: c}"))
        #expect(made.program.runDirectory == "/run/ztun")
        #expect(made.program.trustDomain == "cluster.local")
        #expect(made.program.workers == .auto)
        #expect(made.program.adminAddress.description == "127.0.0.1:15000")
        #expect(made.program.metricsAddress.description == "[::]:15020")
        #expect(made.program.readinessAddress.description == "[::]:15021")
        #expect(made.program.poolMaxStreams == 100)
        #expect(made.capture == .auto)
        #expect(made.program.tlsRecords == .own)
    }

    @Test(arguments: [
        ("stat: x\n", "ztun.yaml: unknown key 'stat' at line 1, column 1; did you mean 'state'?"),
        ("ca-dir: x\n", "ztun.yaml: unknown key 'ca-dir' at line 1, column 1; did you mean 'caDir'?"),
        (
            "a: 1\n",
            "ztun.yaml: unknown key 'a' at line 1, column 1; known keys: state, manifests, kubernetes, kubeconfig, writeStatus, runDir, caDir, roots, identities, crl, secretTTL, trustDomain, workers, adminAddress, metricsAddress, readinessAddress, logFormat, logLevel, poolMaxStreams, tlsRecords, pods, capture, onExit, canary, podCgroup, probeCgroup, bpfDir, gateDir, probeSources, replace, whenReplaced, discover, \(DataPathSetting.all.map(\.key).joined(separator: ", "))"
        ),
        (
            "\nworkers: many\n",
            "ztun.yaml: workers: expected 'auto' or a number of workers from 1 to 256, found the text 'many' at line 2, column 10"
        ),
        (
            "workers: 0\n",
            "ztun.yaml: workers: expected 'auto' or a number of workers from 1 to 256, found the number '0' at line 1, column 10"
        ),
        (
            "capture: ebpf\n",
            "ztun.yaml: capture: expected one of auto, bpf, bpf-rewrite, bpf-route, nft, external, found the text 'ebpf' at line 1, column 10; did you mean 'bpf'?"
        ),
        (
            "pods: [a]\n",
            "ztun.yaml: pods[0]: expected a pod as NAMESPACE/NAME@/PATH/OF/NETNS, found the text 'a' at line 1, column 8"
        ),
        (
            "pods: [{namespace: a, name: B, netns: /x}]\n",
            "ztun.yaml: pods[0]: expected a pod as NAMESPACE/NAME@/PATH/OF/NETNS at line 1, column 8"
        ),
        (
            "trustDomain: Up\n",
            "ztun.yaml: trustDomain: expected a trust domain (lower-case letters, digits, '.', '-', '_'), found the text 'Up' at line 1, column 14"
        ),
        (
            "adminAddress: 15000\n",
            "ztun.yaml: adminAddress: expected an address as '127.0.0.1:15000' or '[::]:15000', found the number '15000' at line 1, column 15"
        ),
        ("caDir: [x]\n", "ztun.yaml: caDir: expected a text, found a list at line 1, column 8"),
    ])
    func faultsNameLineAndKey(text: String, expected: String) {
        #expect(errorText { () throws(ConfigurationError) in try options(text) } == expected)
    }

    @Test(arguments: [
        (
            "{caDir: c}",
            "ztund run: no state file is given; give one with --state FILE, or 'state:' in the configuration file, or --manifests DIR, or --kubernetes"
        ),
        (
            "{state: s}",
            "ztund run: it is not said where certificates come from; give --ca-dir DIR, or --roots FILE and --identity"
        ),
        (
            "{state: s, roots: r}",
            "ztund run: it is not said where certificates come from; give --ca-dir DIR, or --roots FILE and --identity"
        ),
        (
            "{state: s, caDir: c, roots: r}",
            "ztund run: an embedded CA and certificate files are both given; give --ca-dir, or --roots and --identity"
        ),
        (
            "{state: s, roots: r, identities: ['spiffe://other/ns/a/sa/b=c,k']}",
            "ztund run: spiffe://other/ns/a/sa/b is not of the trust domain 'cluster.local'; set --trust-domain to match"
        ),
        (
            "{state: s, caDir: c, pods: [a/b@/x, a/c@/x]}",
            "ztund run: the pod 'a/c@/x' shares its name or network namespace with another one; give each pod once"
        ),
    ])
    func whatCannotRunIsRefused(text: String, expected: String) {
        #expect(errorText { () throws(ConfigurationError) in try NodeConfiguration(try options(text)) } == expected)
    }

    @Test func theWaypointHasItsOwnKeys() throws {
        let text = "{state: s, caDir: c, routes: r.yaml, workload: default/waypoint, address: '[::]:15108'}"
        let made = try WaypointConfiguration(try WaypointOptions(parsing: Array(text.utf8), file: "w.yaml"))
        #expect(made.routes == "r.yaml")
        #expect(made.workload.description == "default/waypoint")
        #expect(made.address.port == 15108)
        #expect(
            errorText { () throws(ConfigurationError) in
                try WaypointConfiguration(
                    try WaypointOptions(parsing: Array("{state: s, caDir: c}".utf8), file: "w.yaml"))
            }
                == "ztun-waypoint run: the waypoint's own workload is not given; give it with --workload NAMESPACE/NAME"
        )
        #expect(
            errorText { () throws(ConfigurationError) in
                try WaypointOptions(parsing: Array("pods: []".utf8), file: "w.yaml")
            }?.hasPrefix("w.yaml: unknown key 'pods' at line 1, column 1") == true)
    }

    @Test func aMissingFileIsNamed() {
        #expect(
            errorText { () throws(ConfigurationError) in
                try NodeConfiguration(flags: NodeOptions(), file: "/nowhere/z.yaml")
            }
                == "/nowhere/z.yaml: /nowhere/z.yaml cannot be opened: No such file or directory")
    }
}
