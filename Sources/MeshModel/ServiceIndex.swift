internal import HashTreeCollections

/// The services of a snapshot under every key they are looked up by; a value that shares unchanged parts.
struct ServiceIndex: Sendable {
    private(set) var byName: TreeDictionary<ServiceName, Service> = [:]
    /// In the order they became known.
    private(set) var byHost: TreeDictionary<String, [Service]> = [:]
    private(set) var byAddress: TreeDictionary<NetworkAddress, [Service]> = [:]
    private var byRange: TreeDictionary<Service.CIDRAddress, [Service]> = [:]
    /// How many ranges there are of each prefix length, IPv4 at 0...32, IPv6 from 33 on: a lookup tries only these.
    private var rangeLengths: [Int] = []

    private static let firstIPv6Length = 33

    mutating func upsert(_ service: Service) {
        if let old = byName.updateValue(service, forKey: service.serviceName) {
            replace(old, with: service)
            return
        }
        byHost[service.fields.hostname, default: []].append(service)
        for address in Self.exactAddresses(of: service) { add(service, at: address) }
        for range in Self.ranges(of: service) { add(service, at: range) }
    }

    mutating func remove(_ name: ServiceName) {
        guard let old = byName.removeValue(forKey: name) else { return }
        Self.remove(old, from: &byHost, key: old.fields.hostname)
        for address in Self.exactAddresses(of: old) { Self.remove(old, from: &byAddress, key: address) }
        for range in Self.ranges(of: old) { drop(old, at: range) }
    }

    /// Keeps the service's place where a key stays, so that a changed service does not lose its rank to a later one.
    private mutating func replace(_ old: Service, with new: Service) {
        Self.exchange(old, for: new, in: &byHost, key: new.fields.hostname)
        let addresses = Self.exactAddresses(of: new)
        for address in Self.exactAddresses(of: old) where !addresses.contains(address) {
            Self.remove(old, from: &byAddress, key: address)
        }
        for address in addresses {
            if !Self.exchange(old, for: new, in: &byAddress, key: address) { add(new, at: address) }
        }
        let ranges = Self.ranges(of: new)
        for range in Self.ranges(of: old) where !ranges.contains(range) { drop(old, at: range) }
        for range in ranges {
            if !Self.exchange(old, for: new, in: &byRange, key: range) { add(new, at: range) }
        }
    }

    func service(at address: NetworkAddress, visibleTo namespace: String) -> Service? {
        if let exact = byAddress[address], let best = Self.best(of: exact, visibleTo: namespace) { return best }
        guard !rangeLengths.isEmpty else { return nil }
        // Longest first; the first visible one of the own namespace ends the search, else the first visible at all.
        let isIPv4 = address.ip.isIPv4
        var fallback: Service?
        for length in stride(from: isIPv4 ? 32 : 128, through: 0, by: -1) {
            guard rangeLengths[isIPv4 ? length : length + Self.firstIPv6Length] > 0 else { continue }
            guard let prefix = IPPrefix(address.ip, length: length) else { continue }
            let key = Service.CIDRAddress(network: address.network, prefix: prefix)
            guard let found = byRange[key], let best = Self.best(of: found, visibleTo: namespace) else { continue }
            if best.fields.namespace == namespace { return best }
            if fallback == nil { fallback = best }
        }
        return fallback
    }

    /// Of the services visible to a client namespace: one of its own, then a canonical one, then the first known.
    static func best(of candidates: [Service], visibleTo namespace: String) -> Service? {
        var best: Service?
        for service in candidates {
            if service.fields.namespace == namespace { return service }
            guard service.fields.visibility == .public else { continue }
            if let current = best, current.fields.canonical || !service.fields.canonical { continue }
            best = service
        }
        return best
    }

    private mutating func add(_ service: Service, at address: NetworkAddress) {
        byAddress[address, default: []].append(service)
    }

    private mutating func add(_ service: Service, at range: Service.CIDRAddress) {
        if rangeLengths.isEmpty { rangeLengths = Array(repeating: 0, count: Self.firstIPv6Length + 129) }
        rangeLengths[Self.slot(of: range.prefix)] += 1
        byRange[range, default: []].append(service)
    }

    private mutating func drop(_ service: Service, at range: Service.CIDRAddress) {
        guard Self.remove(service, from: &byRange, key: range) else { return }
        rangeLengths[Self.slot(of: range.prefix)] -= 1
    }

    private static func slot(of prefix: IPPrefix) -> Int {
        prefix.address.isIPv4 ? prefix.length : prefix.length + firstIPv6Length
    }

    private static func isWhole(_ prefix: IPPrefix) -> Bool { prefix.length == (prefix.address.isIPv4 ? 32 : 128) }

    /// The VIPs, and the ranges that are one address each; every one once.
    private static func exactAddresses(of service: Service) -> [NetworkAddress] {
        var all: [NetworkAddress] = []
        for vip in service.fields.vips where !all.contains(vip) { all.append(vip) }
        for range in service.fields.cidrVips where isWhole(range.prefix) {
            let address = NetworkAddress(network: range.network, ip: range.prefix.address)
            if !all.contains(address) { all.append(address) }
        }
        return all
    }

    private static func ranges(of service: Service) -> [Service.CIDRAddress] {
        var all: [Service.CIDRAddress] = []
        for range in service.fields.cidrVips where !isWhole(range.prefix) && !all.contains(range) { all.append(range) }
        return all
    }

    @discardableResult
    private static func exchange<Key: Hashable & Sendable>(
        _ old: Service, for new: Service, in table: inout TreeDictionary<Key, [Service]>, key: Key
    ) -> Bool {
        guard let position = table[key]?.firstIndex(where: { $0 === old }) else { return false }
        table[key]?[position] = new
        return true
    }

    @discardableResult
    private static func remove<Key: Hashable & Sendable>(
        _ service: Service, from table: inout TreeDictionary<Key, [Service]>, key: Key
    ) -> Bool {
        guard var list = table[key] else { return false }
        let count = list.count
        list.removeAll { $0 === service }
        table[key] = list.isEmpty ? nil : list
        return list.count != count
    }
}
