internal import MeshModel

/// A small mesh that the decisions are asked about.
enum MeshFixture {
    static let serverIP = IPAddress(v4: 0x0a00_0001)
    static let name = ServiceName(namespace: "default", hostname: "server.default.svc.cluster.local")

    static let server: Workload = {
        var fields = Workload.Fields()
        fields.uid = "c1//v1/Pod/default/server"
        fields.name = "server"
        fields.namespace = "default"
        fields.trustDomain = "cluster.local"
        fields.serviceAccount = "server"
        fields.addresses = [serverIP, IPAddress("2001:db8::1") ?? .loopbackV6]
        fields.tunnelProtocol = .hbone
        fields.services = [name: [80: 8080]]
        fields.applicationTunnel = Workload.ApplicationTunnel(kind: .proxy, port: nil)
        return Workload(fields)
    }()

    static let snapshot: MeshSnapshot = {
        var fields = Service.Fields()
        fields.name = "server"
        fields.namespace = "default"
        fields.hostname = name.hostname
        fields.vips = [NetworkAddress(network: "", ip: IPAddress(v4: 0x0a60_0001))]
        fields.ports = [80: 8080]
        return MeshSnapshot(workloads: [server], services: [Service(fields)])
    }()
}
