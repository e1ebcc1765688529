/// The proxy's own ports in a pod.
package enum ProxyPorts {
    package static let outbound: UInt16 = 15001
    package static let inboundPlaintext: UInt16 = 15006
    package static let hbone: UInt16 = 15008

    /// Whether a connection to that port of the pod would come back to the proxy.
    package static func contains(_ port: UInt16) -> Bool {
        port == outbound || port == inboundPlaintext || port == hbone
    }
}
