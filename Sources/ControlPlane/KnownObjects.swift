/// Objects of the last state by key; most stand at the same place of their list again.
struct KnownObjects<Key: Hashable, Object> {
    private let objects: [Object]
    private let key: (Object) -> Key
    // Made only when the order has changed.
    private var byKey: [Key: Object]?

    init(_ objects: [Object], key: @escaping (Object) -> Key) {
        self.objects = objects
        self.key = key
    }

    mutating func object(_ wanted: Key, at index: Int) -> Object? {
        if index < objects.count, key(objects[index]) == wanted { return objects[index] }
        if let byKey { return byKey[wanted] }
        guard !objects.isEmpty else { return nil }
        let made = Dictionary(objects.map { (key($0), $0) }) { $1 }
        byKey = made
        return made[wanted]
    }
}
