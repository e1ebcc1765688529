/// One element of a list that stands directly under the root mapping of a YAML document.
package struct YAMLItem: Sendable {
    /// The key of the list.
    package let key: String
    /// Its place in the list, from 0.
    package let index: Int
    package let node: YAMLNode
}
