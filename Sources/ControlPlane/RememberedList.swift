/// One list of a state file as it was read last, with what is remembered of the text of each element.
struct RememberedList<Key: Hashable & Sendable, Object: AnyObject & Sendable>: Sendable {
    /// What a new text of the list changes.
    struct Edit {
        /// Elements that are new or say something else than before.
        var come: [Object] = []
        /// Elements that are no more, or said something else.
        var gone: [Object] = []
        /// The keys of elements that are no more.
        var removed: [Key] = []
    }

    private(set) var objects: [Object]
    private(set) var known: [StateTextScan.Known]
    private let key: @Sendable (Object) -> Key
    private let saysTheSame: @Sendable (Object, Object) -> Bool

    /// - Parameters:
    ///   - known: in the order of the objects.
    ///   - key: what tells elements apart.
    init(
        _ objects: [Object], known: [StateTextScan.Known], key: @escaping @Sendable (Object) -> Key,
        saysTheSame: @escaping @Sendable (Object, Object) -> Bool
    ) {
        self.objects = objects
        self.known = known
        self.key = key
        self.saysTheSame = saysTheSame
    }

    /// Whether there is a text to each object.
    var isWhole: Bool { objects.count == known.count }

    /// How many values all elements are.
    var values: Int { known.reduce(0) { $0 + Int($1.values) } }

    /// Takes the list's new text.
    /// - Parameters:
    ///   - section: nil where the list is empty or not there.
    ///   - fresh: what its fresh elements were read into.
    ///   - values: how many values each of those counts for.
    /// - Returns: nil when two elements have one key; then nothing has changed.
    mutating func replace(with section: StateTextScan.Section?, fresh: [Object], values: [UInt32]) -> Edit? {
        guard let section else {
            defer { (objects, known) = ([], []) }
            return Edit(gone: objects, removed: objects.map(key))
        }
        if section.fresh.isEmpty, section.origins.count == objects.count, Self.isInOrder(section.origins) {
            return Edit()
        }
        var isUsed = Array(repeating: false, count: objects.count)
        for origin in section.origins where origin >= 0 { isUsed[Int(origin)] = true }
        var old: [Key: Object] = [:]
        for (index, object) in objects.enumerated() where !isUsed[index] { old[key(object)] = object }
        guard let (edit, kept) = compare(fresh, with: old, isUsed) else { return nil }
        var nextObjects: [Object] = []
        var nextKnown: [StateTextScan.Known] = []
        nextObjects.reserveCapacity(section.origins.count)
        nextKnown.reserveCapacity(section.origins.count)
        var next = 0
        for origin in section.origins {
            if origin >= 0 {
                nextObjects.append(objects[Int(origin)])
                nextKnown.append(known[Int(origin)])
            } else {
                var made = section.fresh[next].known
                made.values = values[next]
                nextObjects.append(kept[next])
                nextKnown.append(made)
                next += 1
            }
        }
        (objects, known) = (nextObjects, nextKnown)
        return edit
    }

    /// Holds fresh elements against those that nobody claimed; returns what changes, and the object to keep for each.
    private func compare(_ fresh: [Object], with old: [Key: Object], _ isUsed: [Bool]) -> (Edit, [Object])? {
        var edit = Edit()
        var kept: [Object] = []
        var left = old
        var added = Set<Key>()
        for object in fresh {
            let key = key(object)
            guard let before = left.removeValue(forKey: key) else {
                guard added.insert(key).inserted else { return nil }
                edit.come.append(object)
                kept.append(object)
                continue
            }
            if saysTheSame(before, object) {
                kept.append(before)
            } else {
                edit.gone.append(before)
                edit.come.append(object)
                kept.append(object)
            }
        }
        if !added.isEmpty {
            for (index, object) in objects.enumerated() where isUsed[index] && added.contains(key(object)) {
                return nil
            }
        }
        edit.gone += left.values
        edit.removed = Array(left.keys)
        return (edit, kept)
    }

    private static func isInOrder(_ origins: [Int32]) -> Bool {
        for (index, origin) in origins.enumerated() where Int(origin) != index { return false }
        return true
    }
}
