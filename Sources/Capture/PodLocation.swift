/// A pod and where its network namespace is found.
package struct PodLocation: Hashable, Sendable, CustomStringConvertible {
    /// The Kubernetes namespace.
    package let namespace: String
    /// The pod's name.
    package let name: String
    /// The absolute path of its network namespace, such as `/run/netns/x` or `/proc/123/ns/net`.
    package let path: String

    /// Makes a location from parts that whoever read them has checked.
    package init(namespace: String, name: String, path: String) {
        self.namespace = namespace
        self.name = name
        self.path = path
    }

    /// `NAMESPACE/NAME`, the name under which people know the pod.
    package var pod: String { "\(namespace)/\(name)" }

    /// `NAMESPACE/NAME@PATH`.
    package var description: String { "\(pod)@\(path)" }
}
