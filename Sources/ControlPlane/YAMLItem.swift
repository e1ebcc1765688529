/// One element of a list that stands directly under the root mapping of a YAML document.
package struct YAMLItem: Sendable {
    /// The key of the list.
    package let key: String
    /// Its place in the list, from 0.
    package let index: Int
    package let node: YAMLNode
    /// How many values it is, each alias counted as all that it names.
    let values: Int
    /// Whether an anchor or an alias stands in the document, up to the end of this element.
    let followsAnchors: Bool
}
