import FoundationEssentials

@testable import ControlPlane

/// Files that the tests bring along, and scratch folders of their own.
enum Fixture {
    static func bytes(_ name: String, from file: String = #filePath) throws -> [UInt8] {
        let folder = file.split(separator: "/").dropLast().joined(separator: "/")
        return Array(try Data(contentsOf: URL(filePath: "/\(folder)/Fixtures/\(name)")))
    }

    /// A new folder; the caller removes it.
    static func folder() throws -> String {
        let url = FileManager.default.temporaryDirectory.appending(path: "zt-control-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url.path
    }

    static func remove(_ path: String) {
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// The text of the error that the body throws; nil when it throws none.
func errorText(_ body: () throws(ConfigurationError) -> some Any) -> String? {
    do throws(ConfigurationError) {
        _ = try body()
        return nil
    } catch {
        return error.description
    }
}

func document(_ text: String, limits: YAMLLimits = YAMLLimits()) throws(ConfigurationError) -> YAMLNode {
    try YAMLDocument.parse(Array(text.utf8), file: "f.yaml", limits: limits)
}

func state(_ text: String) throws(ConfigurationError) -> LocalState {
    try LocalState(parsing: Array(text.utf8), file: "f.yaml", trustDomain: "cluster.local")
}
