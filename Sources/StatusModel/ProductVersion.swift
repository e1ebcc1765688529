/// The version all three programs carry; one source, one number.
package enum ProductVersion {
    package static let text = "0.1.0"
}
