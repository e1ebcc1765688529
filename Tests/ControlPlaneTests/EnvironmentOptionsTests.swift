import Glibc
import MeshModel
import Testing

@testable import ControlPlane

@Suite struct EnvironmentOptionsTests {
    static func read(_ variables: [String: String], processors: Int = 8) throws -> EnvironmentOptions {
        try EnvironmentOptions(variables, processors: processors)
    }

    @Test func variablesWinOverTheFileAndFlagsOverVariables() throws {
        let file = try NodeOptions(
            parsing: Array("clusterId: file\nnetwork: file\npoolMaxStreams: 7\nlogLevel: warn\nstate: f\n".utf8),
            file: "c.yaml")
        var flags = NodeOptions()
        flags.program.logLevel = "debug"
        flags.program.caDirectory = "/ca"
        let environment = try Self.read([
            "CLUSTER_ID": "env", "RUST_LOG": "trace", "POOL_MAX_STREAMS_PER_CONNECTION": "9", "LOCAL_XDS_PATH": "e",
            "NODE_NAME": "",
        ])
        flags.program = flags.program.over(environment.program)
        let node = try NodeConfiguration(flags.over(file), environment: environment)
        #expect((node.dataPath.clusterID, node.dataPath.network, node.dataPath.nodeName) == ("env", "file", ""))
        #expect((node.program.logLevel, node.program.poolMaxStreams, node.program.state) == ("debug", 9, "e"))
    }

    @Test func everyVariableOfTheTableIsRead() throws {
        let samples = [
            "CLUSTER_ID": "c", "CLUSTER_DOMAIN": "d", "NETWORK": "n", "NODE_NAME": "node", "ENABLE_ORIG_SRC": "false",
            "IPV6_ENABLED": "false", "LOCALHOST_APP_TUNNEL": "false", "ENABLE_RESPONSE_BAGGAGE": "false",
            "AUTHZ_POLICY_INFO_LOGGING": "true", "ALLOW_UNVERIFIED_BY_NEGATION": "true", "KEEPALIVE_ENABLED": "false",
            "KEEPALIVE_TIME": "1m30s",
            "KEEPALIVE_INTERVAL": "7s", "KEEPALIVE_RETRIES": "3", "HTTP2_STREAM_WINDOW_SIZE": "100000",
            "HTTP2_CONNECTION_WINDOW_SIZE": "200000", "HTTP2_FRAME_SIZE": "20000", "POOL_UNUSED_RELEASE_TIMEOUT": "1h",
            "MEMORY_BUDGET": "5000000", "POD_MEMORY_BUDGET": "4000000",
            "OUTBOUND_TRAFFIC_POLICY": "REGISTRY_ONLY", "POLICY_EDITS": "keep",
        ]
        #expect(Set(samples.keys) == Set(DataPathSetting.all.map(\.variable)))
        let options = try Self.read(samples).over(DataPathOptions())
        var expected = DataPathOptions()
        expected.clusterID = "c"
        expected.clusterDomain = "d"
        expected.network = "n"
        expected.nodeName = "node"
        expected.originalSource = false
        expected.ipv6 = false
        expected.localhostAppTunnel = false
        expected.responseBaggage = false
        expected.policyInfoLogging = true
        expected.admitsUnverifiedByNegation = true
        expected.keepalive = false
        expected.keepaliveTime = 90
        expected.keepaliveInterval = 7
        expected.keepaliveRetries = 3
        expected.streamWindow = 100_000
        expected.connectionWindow = 200_000
        expected.frameSize = 20_000
        expected.poolReleaseSeconds = 3600
        expected.memoryBudget = 5_000_000
        expected.podMemoryBudget = 4_000_000
        expected.outboundTrafficPolicy = .registryOnly
        expected.policyEdits = .keep
        #expect(options == expected)
        // The same values under the keys of a file.
        let yaml = DataPathSetting.all.compactMap { setting in
            samples[setting.variable].map { "\(setting.key): \($0)\n" }
        }
        #expect(try NodeOptions(parsing: Array(yaml.joined().utf8), file: "c.yaml").dataPath == expected)
    }

    @Test func theOtherNameOfTheClusterWins() throws {
        let options = try Self.read(["CLUSTER_ID": "a", "ISTIO_META_CLUSTER_ID": "b"]).over(DataPathOptions())
        #expect(options.clusterID == "b")
    }

    @Test(arguments: [
        (["KEEPALIVE_TIME": "5 minutes"], "invalid env var KEEPALIVE_TIME=5 minutes (a duration as 5s, 1m or 1h)"),
        (["ENABLE_ORIG_SRC": "yes"], "invalid env var ENABLE_ORIG_SRC=yes (true or false)"),
        (["HTTP2_FRAME_SIZE": "1"], "invalid env var HTTP2_FRAME_SIZE=1 (a number from 16384 to 16777215)"),
        (["LOCAL_XDS": "x", "LOCAL_XDS_PATH": "y"], "invalid env var LOCAL_XDS_PATH=y (LOCAL_XDS is set too"),
        (["PROXY_MODE": "dedicated"], "invalid env var PROXY_MODE=dedicated (only shared"),
        (["PACKET_MARK": "1"], "invalid env var PACKET_MARK=1 ("),
        (["COMPLIANCE_POLICY": "pqc"], "invalid env var COMPLIANCE_POLICY=pqc ("),
        (["FAKE_CA": "true"], "invalid env var FAKE_CA=true ("),
        (["TRUST_DOMAIN": "A B"], "invalid env var TRUST_DOMAIN=A B ("),
        (["LOG_FORMAT": "xml"], "invalid env var LOG_FORMAT=xml (expected plain, text or json)"),
        (["CONNECTION_TERMINATION_DEADLINE": "soon"], "invalid env var CONNECTION_TERMINATION_DEADLINE=soon ("),
        (["ZTUNNEL_WORKER_THREADS": "-1"], "invalid env var ZTUNNEL_WORKER_THREADS=-1 ("),
        (["ZTUNNEL_RESOURCE_CPU_LIMIT": "nan"], "invalid env var ZTUNNEL_RESOURCE_CPU_LIMIT=nan ("),
        (["NETWORK": "a\u{1b}b"], "invalid env var NETWORK=a\\u{1b}b ("),
    ])
    func badValuesAreRefused(_ variables: [String: String], _ text: String) {
        let error = #expect(throws: ConfigurationError.self) { _ = try Self.read(variables) }
        #expect(error?.description.contains(text) == true, "\(error?.description ?? "")")
    }

    @Test(arguments: [
        (["ZTUNNEL_WORKER_THREADS": "3"], 3), (["ZTUNNEL_WORKER_THREADS": "0"], 8),
        (["ZTUNNEL_WORKER_THREADS": "30%"], 3), (["ZTUNNEL_WORKER_THREADS": "1%"], 1),
        (["ZTUNNEL_WORKER_THREADS": "50%", "ZTUNNEL_CPU_LIMIT": "4"], 2),
        (["ZTUNNEL_RESOURCE_CPU_LIMIT": "1500m"], 2), (["ZTUNNEL_RESOURCE_CPU_REQUEST": "500m"], 2),
        (["ZTUNNEL_RESOURCE_CPU_LIMIT": "1", "ZTUNNEL_RESOURCE_CPU_REQUEST": "3"], 3),
        (["ZTUNNEL_RESOURCE_CPU_REQUEST": "200m", "ZTUNNEL_CPU_LIMIT": "16"], 4),
    ])
    func threadsFollowIstiosRules(_ variables: [String: String], _ count: Int) throws {
        #expect(try Self.read(variables).program.workers == .exactly(count))
    }

    @Test func nothingSaidIsNothingChanged() throws {
        let environment = try Self.read(["PATH": "/bin", "NETWORK": "", "PROXY_MODE": "shared", "PACKET_MARK": "1337"])
        #expect(environment.program == ProgramOptions())
        #expect(environment.over(DataPathOptions()) == DataPathOptions())
        #expect(environment.notes.isEmpty && environment.inlineState == nil)
    }

    @Test func variablesThatAreNotObeyedAreTold() throws {
        let notes = try Self.read(["TLS12_ENABLED": "true", "XDS_ADDRESS": "x:15012", "INPOD_UDS": "/x"]).notes
        #expect(notes.map(\.isWarning) == [true, true, false])
        #expect(notes[0].text.contains("TLS 1.3 only") && notes[2].text.contains("INPOD_UDS"))
    }

    /// Repair with `ztund settings > docs/configuration.md`.
    @Test func theHandbookIsCurrent() throws {
        let path = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try #require(fopen("/\(path)/docs/configuration.md", "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        #expect(String(decoding: bytes.prefix(count), as: UTF8.self) == SettingsHandbook.text)
    }
}
