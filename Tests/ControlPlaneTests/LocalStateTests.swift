import MeshModel
import Testing

@testable import ControlPlane

@Suite struct LocalStateTests {
    @Test func upstreamsSampleShapeLoads() throws {
        let state = try LocalState(
            parsing: try Fixture.bytes("localhost.yaml"), file: "localhost.yaml", trustDomain: "cluster.local")
        #expect(state.warnings == [])
        #expect(state.workloads.map(\.fields.name) == ["local", "local-tcp"])
        let local = state.workloads[0]
        #expect(local.fields.uid == "cluster1//v1/Pod/default/local")
        #expect(local.fields.tunnelProtocol == .hbone)
        #expect(local.fields.addresses == [.loopbackV4])
        #expect(local.fields.authorizationPolicies == ["default/deny-9999"])
        #expect(local.identity.description == "spiffe://cluster.local/ns/default/sa/default")
        #expect(local.fields.workloadType == "pod")
        #expect(local.fields.services[ServiceName(namespace: "default", hostname: "example.com")] == [80: 8080])
        #expect(state.workloads[1].fields.tunnelProtocol == .tcp)
        #expect(state.workloads[1].fields.addresses.last == .loopbackV6)
        #expect(state.services[0].fields.vips == [NetworkAddress(network: "", ip: IPAddress(v4: 0x7f0a_0001))])
        #expect(state.services[1].fields.vips[0].network == "remote")
        let policy = state.policies[0]
        #expect(policy.key == "default/deny-9999")
        #expect(policy.scope == .workloadSelector)
        #expect(policy.rules.count == 1 && policy.rules[0].count == 1 && policy.rules[0][0].count == 3)
        #expect(policy.rules[0][0][0].notDestinationPorts == [9999])
        #expect(policy.rules[0][0][1].principals == [.exact("cluster.local/ns/default/sa/default")])
        #expect(policy.rules[0][0][2].namespaces == [.presence])
    }

    @Test func everyFieldArrives() throws {
        let state = try LocalState(
            parsing: try Fixture.bytes("every-field.yaml"), file: "every-field.yaml", trustDomain: "cluster.local")
        var workload = Workload.Fields()
        workload.uid = "c1//v1/Pod/default/a"
        workload.name = "a"
        workload.namespace = "default"
        workload.addresses = [IPAddress(v4: 0x0a00_0001), try #require(IPAddress("2001:db8::1"))]
        workload.tunnelProtocol = .hbone
        workload.networkMode = .hostNetwork
        workload.trustDomain = "other.example"
        workload.serviceAccount = "web"
        workload.network = "net1"
        workload.node = "n1"
        workload.health = .unhealthy
        workload.clusterID = "c1"
        workload.hostname = "a.example"
        workload.nativeTunnel = true
        workload.applicationTunnel = Workload.ApplicationTunnel(kind: .proxy, port: 15088)
        workload.waypoint = GatewayAddress(
            destination: .address(NetworkAddress(network: "net1", ip: IPAddress(v4: 0x0a00_0009))), hboneMtlsPort: 15009
        )
        workload.networkGateway = GatewayAddress(
            destination: .hostname(ServiceName(namespace: "edge", hostname: "gateway.example")))
        workload.workloadName = "a-deployment"
        workload.workloadType = "deployment"
        workload.canonicalName = "a"
        workload.canonicalRevision = "v1"
        workload.authorizationPolicies = ["default/p1"]
        workload.locality = Workload.Locality(region: "r", zone: "z", subzone: "s")
        workload.capacity = 7
        workload.services = [ServiceName(namespace: "default", hostname: "example.com"): [80: 8080, 443: 8443]]
        #expect(state.workloads.map(\.fields) == [workload])

        var service = Service.Fields()
        service.name = "s"
        service.namespace = "default"
        service.hostname = "example.com"
        service.vips = [
            NetworkAddress(network: "net1", ip: IPAddress(v4: 0x7f0a_0001)),
            NetworkAddress(network: "", ip: try #require(IPAddress("2001:db8::80"))),
        ]
        service.ports = [80: 8080, 443: 0]
        service.cidrVips = [Service.CIDRAddress(network: "net1", prefix: try #require(IPPrefix("10.0.0.0/8")))]
        service.subjectAltNames = ["spiffe://cluster.local/ns/default/sa/web"]
        service.canonical = true
        service.visibility = .namespace
        service.ipFamilies = .dual
        var balancer = Service.LoadBalancer()
        balancer.routingPreferences = [.region, .zone]
        balancer.mode = .failover
        balancer.healthPolicy = .allowAll
        service.loadBalancer = balancer
        service.waypoint = GatewayAddress(
            destination: .hostname(ServiceName(namespace: "default", hostname: "waypoint.example")))
        service.weightedWaypoints = [
            Service.WeightedWaypoint(
                waypoint: GatewayAddress(
                    destination: .hostname(ServiceName(namespace: "default", hostname: "w2.example"))), weight: 90)
        ]
        #expect(state.services.map(\.fields) == [service])

        var match = AuthorizationPolicy.Match()
        match.namespaces = [.exact("a")]
        match.notNamespaces = [.prefix("b")]
        match.serviceAccounts = [ServiceAccountMatch(namespace: "default", serviceAccount: "web")]
        match.notServiceAccounts = [ServiceAccountMatch(namespace: "default", serviceAccount: "db")]
        match.principals = [.suffix("/sa/web")]
        match.notPrincipals = [.presence]
        match.sourceIPs = [try #require(IPPrefix("10.0.0.0/8"))]
        match.notSourceIPs = [try #require(IPPrefix("10.1.0.0/16"))]
        match.destinationIPs = [try #require(IPPrefix("2001:db8::/32"))]
        match.notDestinationIPs = [try #require(IPPrefix("10.2.0.1/32"))]
        match.destinationPorts = [80, 443]
        match.notDestinationPorts = [9999]
        let policy = try #require(state.policies.first)
        #expect(policy.rules == [[[match]]])
        #expect(policy.dryRun)
        #expect(policy.action == .deny)
        #expect(policy.scope == .workloadSelector)
    }

    @Test func theDaemonsTrustDomainFillsIn() throws {
        let text = "workloads: [{name: a, namespace: n, workloadIps: [10.0.0.1], services: {}}]"
        let made = try LocalState(parsing: Array(text.utf8), file: "f", trustDomain: "td.example")
        #expect(made.workloads[0].identity.description == "spiffe://td.example/ns/n/sa/default")
        #expect(made.workloads[0].fields.uid == "//v1/Pod/n/a")
    }

    @Test func jsonLoads() throws {
        let made = try state(
            #"{"workloads": [{"name": "a", "namespace": "n", "workloadIps": ["10.0.0.1"], "services": {"n/h": {"80": 81}}}]}"#
        )
        #expect(made.workloads[0].fields.services.first?.value == [80: 81])
    }

    static let workload = "workloads:\n- name: a\n  namespace: n\n  workloadIps: [10.0.0.1]\n  services: {}\n"
    static let policy = "policies:\n- name: p\n  namespace: n\n  scope: Global\n  action: Allow\n  dryRun: false\n"

    static let second = "- name: a\n  namespace: n\n  workloadIps: [10.0.0.1]\n  services: {}\n"

    struct Fault: Sendable {
        let text: String
        let error: String

        init(_ text: String, _ parts: String...) {
            self.text = text
            error = parts.joined()
        }
    }

    static let faults: [Fault] = [
        Fault("worklods: []\n", "f.yaml: unknown key 'worklods' at line 1, column 1; did you mean 'workloads'?"),
        Fault(
            "# c\n\ncertificates: []\n",
            "f.yaml: unknown key 'certificates' at line 3, column 1; known keys: workloads, policies, services"
        ),
        Fault("- a\n", "f.yaml: expected a mapping, found a list at line 1, column 1"),
        Fault("workloads: 3\n", "f.yaml: workloads: expected a list, found the number '3' at line 1, column 12"),
        Fault(
            "workloads:\n- name: a\n  namespace: n\n  services: {}\n",
            "f.yaml: workloads[0]: the key 'workloadIps' is missing in the mapping at line 2, column 3"
        ),
        Fault(
            "\(workload)  serviceaccount: x\n",
            "f.yaml: workloads[0]: unknown key 'serviceaccount' at line 6, column 3; did you mean 'serviceAccount'?"
        ),
        Fault(
            "\(workload)  protocol: hbone\n",
            "f.yaml: workloads[0].protocol: expected one of TCP, HBONE, found the text 'hbone' at line 6, column 13; ",
            "did you mean 'HBONE'?"
        ),
        Fault(
            "\(workload)  node: 5\n",
            "f.yaml: workloads[0].node: expected a text, found the number '5' at line 6, column 9; put it in quotes: \"5\""
        ),
        Fault(
            "\(workload)  capacity: -1\n",
            "f.yaml: workloads[0].capacity: expected a whole number from 0 to 4294967295, found the number '-1' at line ",
            "6, column 13"
        ),
        Fault(
            "\(workload)  waypoint: {destination: nowhere}\n",
            "f.yaml: workloads[0].waypoint.destination: expected a gateway as 'network/address' or ",
            "'namespace/hostname', found the text 'nowhere' at line 6, column 27"
        ),
        Fault(
            "\(workload)  serviceAccount: a/b\n",
            "f.yaml: workloads[0]: 'spiffe://cluster.local/ns/n/sa/a/b' is not a valid identity at line 6, column 19"
        ),
        Fault(
            "workloads:\n- {name: a, namespace: n, workloadIps: [10.0.0.256], services: {}}\n",
            "f.yaml: workloads[0].workloadIps[0]: expected an IP address, found the text '10.0.0.256' at line 2, column 41"
        ),
        Fault(
            "workloads:\n- {name: a, namespace: n, workloadIps: [10.0.0.1], services: {example: {}}}\n",
            "f.yaml: workloads[0].services.example: expected a service as 'namespace/hostname' as key, found 'example' ",
            "at line 2, column 63"
        ),
        Fault(
            "workloads:\n- {name: a, namespace: n, workloadIps: [10.0.0.1], services: {n/h: {80: 65536}}}\n",
            "f.yaml: workloads[0].services.'n/h'.80: expected a whole number from 1 to 65535, found the number '65536' ",
            "at line 2, column 73"
        ),
        Fault(
            "workloads:\n- {name: a, namespace: n, workloadIps: [10.0.0.1], services: {n/h: {0: 80}}}\n",
            "f.yaml: workloads[0].services.'n/h'.0: expected a port from 1 to 65535 as key, found '0' at line 2, column 69"
        ),
        Fault(
            "\(workload)\(second)",
            "f.yaml: workloads[1]: the workload uid '//v1/Pod/n/a' is defined twice at line 6, column 3; first at line 2"
        ),
        Fault(policy, "f.yaml: policies[0]: the key 'rules' is missing in the mapping at line 2, column 3"),
        Fault(
            "\(policy)  rules: [[[{principals: [{exact: x}]}]]]\n",
            "f.yaml: policies[0].rules[0][0][0].principals[0]: unknown key 'exact' at line 7, column 28; ",
            "did you mean 'Exact'?"
        ),
        Fault(
            "\(policy)  rules: [[[{principals: [{Exact: x, Prefix: y}]}]]]\n",
            "f.yaml: policies[0].rules[0][0][0].principals[0]: expected exactly one of Exact, Prefix, Suffix, Presence, ",
            "found a mapping at line 7, column 27"
        ),
        Fault(
            "\(policy)  rules: [{principals: []}]\n",
            "f.yaml: policies[0].rules[0]: expected a list, found a mapping at line 7, column 11"
        ),
        Fault(
            "\(policy)  rules: [[[{sourceIps: [10.0.0.0/33]}]]]\n",
            "f.yaml: policies[0].rules[0][0][0].sourceIps[0]: expected an address range as 'address/length', found the ",
            "text '10.0.0.0/33' at line 7, column 26"
        ),
        Fault(
            "services: [{name: s, namespace: n, hostname: h, vips: [], ports: {}, endpoints: {a: {}}}]\n",
            "f.yaml: services[0]: the endpoints of a service cannot be listed here at line 1, column 81; name the service ",
            "under 'services' of each workload"
        ),
        Fault(
            "services: [{name: s, namespace: n, hostname: h, ports: {}}]\n",
            "f.yaml: services[0]: the key 'vips' is missing in the mapping at line 1, column 12"
        ),
        Fault(
            "services:\n  a\u{1b}[31mb: 1\n",
            "f.yaml: not YAML text: control characters are not allowed at byte 13"
        ),
        Fault(
            "\"a\\e[31m\\nb\": 1\n",
            "f.yaml: unknown key 'a\\u{1b}[31m\\u{a}b' at line 1, column 1; known keys: workloads, policies, services"
        ),
    ]

    @Test(arguments: faults)
    func faultsNameLineAndKey(fault: Fault) {
        #expect(errorText { () throws(ConfigurationError) in try state(fault.text) } == fault.error)
    }

    @Test func namesThatLeadNowhereAreWarnedOf() throws {
        let made = try state(
            "workloads: [{name: a, namespace: n, workloadIps: [10.0.0.1], services: {n/h: {80: 80}}, "
                + "authorizationPolicies: [n/p]}]")
        #expect(
            made.warnings == [
                "f.yaml: workload 'n/a' at line 1 is an endpoint of the service 'n/h', which the file does not define",
                "f.yaml: workload 'n/a' at line 1 names the policy 'n/p', which the file does not define: connections "
                    + "to it will be refused",
            ])
    }

    @Test func emptySectionsAreAllowed() throws {
        let made = try state("workloads: []\nservices:\npolicies: ~\n")
        #expect(made.workloads.isEmpty && made.services.isEmpty && made.policies.isEmpty)
    }
}
