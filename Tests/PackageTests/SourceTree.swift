import Glibc

/// The checked-out package as text: which modules there are, which files each has, and what they say.
struct SourceTree {
    /// A Swift or C file of one module.
    struct File {
        /// The folder under Sources, which is the module's name.
        let module: String
        /// The path from the repository's root, for messages.
        let path: String
        let text: String

        /// Modules named by `import`, whatever the access level or attributes in front of it.
        var imports: [String] {
            lines.compactMap { line in
                let words = line.split(separator: " ")
                guard let index = words.firstIndex(of: "import"), index + 1 < words.count else { return nil }
                guard words[..<index].allSatisfy({ Self.modifiers.contains(String($0)) || $0.hasPrefix("@") }) else {
                    return nil
                }
                let kinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol", "typealias", "var", "let"]
                let hasKind = kinds.contains(words[index + 1]) && index + 2 < words.count
                return words[index + (hasKind ? 2 : 1)].split(separator: ".").first.map(String.init)
            }
        }

        var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

        private static let modifiers: Set<String> = ["public", "package", "internal", "fileprivate", "private"]
    }

    /// Module names in the order of Package.swift, which is the law of imports.
    let order: [String]
    let files: [File]

    /// Reads the tree that this test was compiled from.
    init(testFile: String = #filePath) throws {
        let root = testFile.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
        let manifest = try Self.read(root + "/Package.swift")
        let declaration = #/^\s*(?:module|program|\.target|\.systemLibrary)\(\s*(?:name: )?"(\w[\w-]*)"/#
        order = manifest.replacing("(\n            \"", with: "(\"").split(separator: "\n")
            .compactMap { $0.firstMatch(of: declaration).map { String($0.1) } }
        files = try Self.walk(root + "/Sources").map { path in
            let relative = String(path.dropFirst(root.count + 1))
            let module = String(relative.split(separator: "/")[1])
            return File(module: module, path: relative, text: try Self.read(path))
        }
    }

    /// A file or folder that cannot be read.
    struct ReadError: Error, CustomStringConvertible {
        let path: String
        let code: Int32
        var description: String { "\(path): \(String(cString: strerror(code)))" }
    }

    private static func walk(_ folder: String) throws -> [String] {
        guard let handle = opendir(folder) else { throw ReadError(path: folder, code: errno) }
        defer { closedir(handle) }
        var paths: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard !name.hasPrefix(".") else { continue }
            let path = folder + "/" + name
            if entry.pointee.d_type == UInt8(DT_DIR) {
                paths += try walk(path)
            } else if [".swift", ".c", ".h"].contains(where: name.hasSuffix) {
                paths.append(path)
            }
        }
        return paths.sorted()
    }

    private static func read(_ path: String) throws -> String {
        guard let file = fopen(path, "r") else { throw ReadError(path: path, code: errno) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
