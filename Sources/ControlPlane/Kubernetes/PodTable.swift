/// Pods by name, each in a box of its own: a hash table of values as large as these would be half empty space.
struct PodTable: Sendable, Sequence {
    private final class Box: Sendable {
        let pod: Kubernetes.Pod

        init(_ pod: Kubernetes.Pod) { self.pod = pod }
    }
    private var boxes: [ObjectName: Box] = [:]

    subscript(name: ObjectName) -> Kubernetes.Pod? {
        get { boxes[name]?.pod }
        set { boxes[name] = newValue.map { Box($0) } }
    }

    var count: Int { boxes.count }
    var names: some Collection<ObjectName> { boxes.keys }

    func makeIterator() -> AnyIterator<(key: ObjectName, value: Kubernetes.Pod)> {
        var boxes = boxes.makeIterator()
        return AnyIterator { boxes.next().map { ($0.key, $0.value.pod) } }
    }
}
