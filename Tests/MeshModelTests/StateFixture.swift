import MeshModel

/// Short ways to write down state.
enum State {
    static func ip(_ text: String) -> IPAddress {
        guard let ip = IPAddress(text) else { preconditionFailure("\(text) is no address") }
        return ip
    }

    static func at(_ text: String, network: String = "") -> NetworkAddress {
        NetworkAddress(network: network, ip: ip(text))
    }

    static func range(_ text: String, network: String = "") -> Service.CIDRAddress {
        guard let prefix = IPPrefix(text) else { preconditionFailure("\(text) is no range") }
        return Service.CIDRAddress(network: network, prefix: prefix)
    }

    static func workload(
        _ name: String, _ addresses: [String] = [], _ change: (inout Workload.Fields) -> Void = { _ in }
    ) -> Workload {
        var fields = Workload.Fields()
        fields.uid = "c1//Pod/ns1/\(name)"
        fields.name = name
        fields.namespace = "ns1"
        fields.addresses = addresses.map(ip)
        change(&fields)
        return Workload(fields)
    }

    static func service(
        _ host: String, in namespace: String = "ns1", _ vips: [String] = [],
        _ change: (inout Service.Fields) -> Void = { _ in }
    ) -> Service {
        var fields = Service.Fields()
        fields.name = host
        fields.namespace = namespace
        fields.hostname = host
        fields.vips = vips.map { at($0) }
        change(&fields)
        return Service(fields)
    }
}
