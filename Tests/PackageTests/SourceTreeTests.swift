import Testing

@Suite struct SourceTreeTests {
    let tree: SourceTree

    init() throws { tree = try SourceTree() }

    /// Which one Swift module may import each C module; CLinux is shared by the two that make sockets.
    static let owners: [String: Set<String>] = [
        "COpenSSL": ["TLS"], "CNghttp2": ["HTTP2"], "CYaml": ["ControlPlane"], "CLibbpf": ["CaptureBPF"],
        "CaptureBPF": ["Capture"], "CLinux": ["EventLoop", "Capture"],
    ]
    /// Programs that show values to people may use the small Foundation; nothing may use the whole one.
    static let essentials: Set<String> = [
        "StatusModel", "AdminServer", "ControlPlane", "ztund", "ztun-waypoint", "ztun",
    ]

    @Test func theManifestIsUnderstood() {
        #expect(tree.order.count > 12)
        for module in Set(tree.files.map(\.module)) {
            #expect(tree.order.contains(module), "Sources/\(module) is no target of Package.swift")
        }
        #expect(tree.files.contains { !$0.imports.isEmpty })
    }

    @Test func modulesImportOnlyWhatStandsAboveThem() {
        for file in tree.files {
            guard let own = tree.order.firstIndex(of: file.module) else { continue }
            for name in file.imports {
                guard let other = tree.order.firstIndex(of: name) else { continue }
                #expect(other < own, "\(file.path) imports \(name), which stands below \(file.module) in Package.swift")
            }
        }
    }

    @Test func eachCLibraryHasOneImporter() {
        for file in tree.files {
            for name in file.imports {
                guard let allowed = Self.owners[name] else { continue }
                #expect(allowed.contains(file.module), "\(file.path) imports \(name); only \(allowed.sorted()) may")
            }
        }
    }

    @Test func nobodyImportsFoundation() {
        for file in tree.files {
            for name in file.imports {
                #expect(name != "Foundation", "\(file.path) imports Foundation (40 MB); FoundationEssentials may do")
                guard name == "FoundationEssentials" else { continue }
                #expect(Self.essentials.contains(file.module), "\(file.path) is on the data path")
            }
        }
    }

    /// `Synchronization.Mutex` is reported as a data race by the thread sanitizer even when it is used right.
    @Test func locksAreOurs() {
        for file in tree.files where file.module != "Telemetry" {
            #expect(!file.text.contains("Mutex<"), "\(file.path) uses Mutex; use Telemetry's Lock")
        }
    }

    @Test func filesAreRoomsNotHouses() {
        for file in tree.files where !(file.lines.first?.contains("do not edit") ?? false) {
            #expect(file.lines.count <= 600, "\(file.path) has \(file.lines.count) lines; 600 is the limit")
        }
    }
}
