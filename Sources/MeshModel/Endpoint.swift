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
