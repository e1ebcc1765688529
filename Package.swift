// swift-tools-version: 6.2
import PackageDescription

#if canImport(Glibc)
import Glibc
#endif

// The order of this list is the law of imports: a module may import only what stands above it (Tests/PackageTests).

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
/// Dynamic exclusivity checks cost a fifth of the user instructions of a request (docs/performance.md); debug builds keep them.
let hot: [SwiftSetting] =
    strict + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

let careful: [CSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]

let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let collections: Target.Dependency = .product(name: "HashTreeCollections", package: "swift-collections")

func module(_ name: String, _ dependencies: [Target.Dependency] = [], _ settings: [SwiftSetting] = strict) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies + [arguments], swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

let package = Package(
    name: "ztun",
    products: [
        .executable(name: "ztund", targets: ["ztund"]),
        .executable(name: "ztun-waypoint", targets: ["ztun-waypoint"]),
        .executable(name: "ztun", targets: ["ztun"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        .systemLibrary(name: "COpenSSL", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "CYaml", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CLibbpf", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev"])]),
        .target(name: "CLinux", cSettings: careful),
        .target(name: "CaptureBPF", dependencies: ["CLibbpf"], cSettings: careful),
        module("MeshModel", [collections]),
        module("Telemetry", ["MeshModel"]),
        module("RoutingCore", ["MeshModel", "Telemetry", collections]),
        module("StatusModel", ["MeshModel"]),
        module("EventLoop", ["CLinux", "MeshModel", "Telemetry"], hot),
        module("TLS", ["COpenSSL", "MeshModel", "Telemetry"], hot),
        module("HTTP2", ["CNghttp2", "MeshModel", "Telemetry"], hot),
        module("HTTP1", ["MeshModel"], hot),
        module("HBONE", ["MeshModel", "Telemetry", "EventLoop", "TLS", "HTTP2"], hot),
        module("Capture", ["CLinux", "CaptureBPF", "MeshModel", "Telemetry", "StatusModel", "EventLoop"]),
        module(
            "ControlPlane",
            ["CYaml", "MeshModel", "Telemetry", "RoutingCore", "StatusModel", "TLS", "HTTP1", collections]),
        module("AdminServer", ["MeshModel", "Telemetry", "StatusModel", "EventLoop", "HTTP1"]),
        module(
            "NodeProxy",
            [
                "MeshModel", "Telemetry", "RoutingCore", "StatusModel", "EventLoop", "TLS", "HTTP2", "HBONE", "Capture",
                "ControlPlane", "AdminServer",
            ], hot),
        module(
            "WaypointProxy",
            [
                "MeshModel", "Telemetry", "RoutingCore", "StatusModel", "EventLoop", "TLS", "HTTP2", "HTTP1", "HBONE",
                "ControlPlane", "AdminServer",
            ], hot),
        module("CommandFlags", ["MeshModel", "TLS", "ControlPlane", arguments]),
        program(
            "ztund",
            [
                "CommandFlags", "NodeProxy", "Capture", "ControlPlane", "AdminServer", "Telemetry", "MeshModel",
                "StatusModel",
            ]),
        program(
            "ztun-waypoint",
            ["CommandFlags", "WaypointProxy", "ControlPlane", "AdminServer", "Telemetry", "MeshModel", "StatusModel"]),
        program("ztun", ["StatusModel", "MeshModel"]),
        // What Benchmarks/core/gate.py counts instructions of; not shipped.
        .executableTarget(
            name: "ztun-bench",
            dependencies: [
                "ControlPlane", "HBONE", "HTTP1", "HTTP2", "TLS", "EventLoop", "RoutingCore", "MeshModel",
            ], path: "Benchmarks/core", exclude: ["README.md", "gate.py", "baseline.json"], swiftSettings: strict),
        tests("MeshModelTests", ["MeshModel"]),
        tests("TelemetryTests", ["Telemetry", "StatusModel", "MeshModel"]),
        tests("RoutingCoreTests", ["RoutingCore", "MeshModel", "Telemetry", collections]),
        tests("EventLoopTests", ["EventLoop", "MeshModel", "Telemetry"]),
        tests("TLSTests", ["TLS", "MeshModel"]),
        tests("HTTP2Tests", ["HTTP2", "MeshModel"]),
        tests("HTTP1Tests", ["HTTP1"]),
        tests("HBONETests", ["HBONE", "EventLoop", "TLS", "HTTP2", "MeshModel", "Telemetry"]),
        tests("CaptureTests", ["Capture", "MeshModel", "EventLoop", "Telemetry", "StatusModel"]),
        tests(
            "ControlPlaneTests", ["ControlPlane", "MeshModel", "RoutingCore", "TLS", "StatusModel", "Telemetry"],
            resources: [.copy("Fixtures")]),
        tests("AdminServerTests", ["AdminServer", "StatusModel", "Telemetry", "EventLoop", "HTTP1", "MeshModel"]),
        tests("WaypointProxyTests", ["WaypointProxy", "HTTP1", "HBONE", "RoutingCore", "MeshModel", "Telemetry"]),
        tests("NodeProxyTests", ["NodeProxy", "HTTP2", "EventLoop", "MeshModel", "RoutingCore", "Telemetry"]),
        tests("PackageTests", []),
        // What stranger's bytes are put through, by the tests here and by libFuzzer (Fuzz/README.md).
        .target(
            name: "FuzzEntries",
            dependencies: ["MeshModel", "RoutingCore", "TLS", "HTTP2", "HTTP1", "ControlPlane", "NodeProxy"],
            path: "Fuzz/Entries", swiftSettings: strict),
        tests("FuzzTests", ["FuzzEntries"]),
    ],
    swiftLanguageModes: [.v6]
)

// `make fuzz`: the program needs -sanitize=fuzzer for all modules, so no ordinary build knows it.
if getenv("ZTUN_FUZZ") != nil {
    package.targets += [
        .systemLibrary(name: "CLibFuzzer", path: "Fuzz/CLibFuzzer"),
        .executableTarget(
            name: "ZtunFuzz", dependencies: ["FuzzEntries", "CLibFuzzer"], path: "Fuzz/Program",
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]),
    ]
    package.products = [.executable(name: "ztun-fuzz", targets: ["ZtunFuzz"])]
}

// A developer's short cut: `ZTUN_ONLY=RoutingCoreTests swift test` builds just those targets and what they need.
if let value = getenv("ZTUN_ONLY") {
    var wanted = Set<String>()
    var queue = String(cString: value).split(separator: ",").map(String.init)
    while let name = queue.popLast() {
        guard wanted.insert(name).inserted else { continue }
        guard let target = package.targets.first(where: { $0.name == name }) else { continue }
        for dependency in target.dependencies {
            if case .byNameItem(let name, _) = dependency { queue.append(name) }
        }
    }
    package.targets.removeAll { !wanted.contains($0.name) }
    package.products.removeAll { !wanted.contains($0.name) }
}
