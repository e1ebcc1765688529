internal import MeshModel

extension YAMLReader {
    func ipAddress() throws(ConfigurationError) -> IPAddress {
        try parsed("an IP address") { IPAddress($0) }
    }

    /// `ADDRESS/LENGTH` or a bare address.
    func prefix() throws(ConfigurationError) -> IPPrefix {
        try parsed("an address range as 'address/length'") { IPPrefix($0) }
    }

    /// `network/address`; the network may be empty, and so may be the slash.
    func networkAddress() throws(ConfigurationError) -> NetworkAddress {
        try parsed("an address as 'network/address'") { NetworkAddress($0) }
    }

    /// A port that can be connected to.
    func port() throws(ConfigurationError) -> UInt16 {
        try integer(1...UInt16.max)
    }

    /// A mapping of service port to target port; the numbers may be quoted as keys, as JSON needs it.
    func ports(lowestTarget: UInt16) throws(ConfigurationError) -> [UInt16: UInt16] {
        var ports: [UInt16: UInt16] = [:]
        _ = try entries { key, value throws(ConfigurationError) in
            let port = try key.parsed("a port from 1 to 65535") { text -> UInt16? in
                SocketAddress.port(Array(text.utf8)[...]).flatMap { $0 > 0 ? $0 : nil }
            }
            let target = try value.integer(lowestTarget...UInt16.max)
            guard ports.updateValue(target, forKey: port) == nil else {
                throw key.error("the port \(port) is given twice")
            }
        }
        return ports
    }
}

extension YAMLFields {
    func bool(_ key: String) throws(ConfigurationError) -> Bool {
        try optional(key) { reader throws(ConfigurationError) in try reader.bool() } ?? false
    }

    func choice<T: RawRepresentable & CaseIterable>(
        _ key: String, default value: T
    ) throws(ConfigurationError) -> T where T.RawValue == String {
        try optional(key) { reader throws(ConfigurationError) in try reader.oneOf() } ?? value
    }

    func gateway(_ key: String) throws(ConfigurationError) -> GatewayAddress? {
        try optional(key) { reader throws(ConfigurationError) in try GatewayAddress(reading: reader) }
    }
}

extension NetworkAddress {
    /// Reads `network/address`, `/address` or `address`; nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let last = parts.last, let ip = IPAddress(last) else { return nil }
        self.init(network: parts.count == 2 ? String(parts[0]) : "", ip: ip)
    }
}
