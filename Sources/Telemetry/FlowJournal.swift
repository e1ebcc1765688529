package import MeshModel

/// The classes of connections that one worker saw in the last day, always kept: some 1 KiB each, at most ``capacity``.
package struct FlowJournal: Sendable {
    package struct Entry: Sendable {
        package let flows: FlowClass
        package var count: FlowCount
        package var sample: FlowSample
    }

    /// What finds an entry without making texts. Its objects live at least as long as the snapshot, and ``forgetObjects()`` is
    /// called with every new one.
    package struct Key: Hashable, Sendable {
        package var direction: Direction
        package var source: ObjectIdentifier?
        package var destination: ObjectIdentifier?
        package var service: ObjectIdentifier?
        /// Only where no workload is known.
        package var sourceAddress: IPAddress?
        package var destinationAddress: IPAddress?
        package var sourceIdentity: SpiffeID?
        package var port: UInt16
        package var verdict: FlowVerdict
        package var isMutual: Bool

        package init(direction: Direction, port: UInt16, verdict: FlowVerdict, isMutual: Bool) {
            self.direction = direction
            self.port = port
            self.verdict = verdict
            self.isMutual = isMutual
        }
    }

    package let capacity: Int
    /// Most of the classes that an address without a workload makes; more share one without an address.
    package let strangers: Int
    package private(set) var entries: [Entry] = []
    /// Connections that no class was left for.
    package private(set) var overflow: UInt64 = 0
    private var index: [FlowClass: Int] = [:]
    private var keys: [Key: Int] = [:]
    private var strangersHeld = 0
    private var sweptAt: UInt64 = 0
    private static let day: UInt64 = 86_400

    package init(capacity: Int = Limits.standard.journalClasses, strangers: Int = Limits.standard.journalStrangers) {
        self.capacity = max(1, capacity)
        self.strangers = strangers
    }

    /// Counts a connection of a class that was seen since the last snapshot; false when it has to be described.
    package mutating func note(_ key: Key, at now: UInt64, sample: FlowSample) -> Bool {
        guard let place = keys[key] else { return false }
        entries[place].count.add(at: now)
        entries[place].sample = sample
        return true
    }

    /// Counts a connection, with a new class if need be.
    package mutating func note(_ flows: FlowClass, _ key: Key, at now: UInt64, sample: FlowSample) {
        var flows = flows
        if index[flows] == nil, flows.isOfStranger, strangersHeld >= strangers { flows.forgetAddresses() }
        let place: Int
        if let known = index[flows] {
            place = known
        } else {
            if entries.count >= capacity { sweep(now) }
            guard entries.count < capacity else {
                overflow += 1
                return
            }
            place = entries.count
            entries.append(Entry(flows: flows, count: FlowCount(at: now), sample: sample))
            index[flows] = place
            if flows.isOfStranger { strangersHeld += 1 }
        }
        entries[place].count.add(at: now)
        entries[place].sample = sample
        // As many ways to find a class as classes: strangers who share one do not fill it.
        if keys.count < 4 * capacity { keys[key] = place }
    }

    /// A new snapshot has new objects.
    package mutating func forgetObjects() {
        keys.removeAll(keepingCapacity: true)
    }

    /// The classes of several journals, each once.
    package static func merged(_ entries: [Entry]) -> [Entry] {
        var merged: [FlowClass: Entry] = [:]
        for entry in entries {
            guard var known = merged[entry.flows] else {
                merged[entry.flows] = entry
                continue
            }
            if entry.count.last > known.count.last { known.sample = entry.sample }
            known.count = known.count.merged(with: entry.count)
            merged[entry.flows] = known
        }
        return Array(merged.values)
    }

    /// Forgets the classes of which nothing was seen for a day; at most once a minute.
    private mutating func sweep(_ now: UInt64) {
        guard now >= sweptAt + 60 else { return }
        sweptAt = now
        entries.removeAll { $0.count.last + Self.day < now }
        index = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($0.element.flows, $0.offset) })
        keys = [:]
        strangersHeld = entries.count { $0.flows.isOfStranger }
    }
}

extension FlowClass {
    /// Whether an address stands in it.
    fileprivate var isOfStranger: Bool { source.address != nil || destination.address != nil }

    fileprivate mutating func forgetAddresses() {
        source.address = nil
        destination.address = nil
    }
}
