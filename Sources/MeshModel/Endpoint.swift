/// One workload behind one service, with the ports the workload itself maps.
package struct Endpoint: Sendable {
    package let workload: Workload
    /// Service port → target port, as the workload says it; wins over the service's own map.
    package let ports: [UInt16: UInt16]

    package init(workload: Workload, ports: [UInt16: UInt16]) {
        self.workload = workload
        self.ports = ports
    }
}

/// The endpoints of a service, by uid, with what choosing among many of them wants to know beforehand.
package struct EndpointList: Sendable {
    package let endpoints: [Endpoint]
    /// The capacity of every endpoint where they all have the same; nil where they differ or there is none.
    package let uniformCapacity: UInt32?

    package static let empty = EndpointList([])

    package init(_ endpoints: [Endpoint]) {
        self.endpoints = endpoints
        let first = endpoints.first?.workload.fields.capacity
        uniformCapacity = endpoints.allSatisfy { $0.workload.fields.capacity == first } ? first : nil
    }
}
