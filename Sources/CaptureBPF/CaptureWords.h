// What libbpf says of a failure: kept for zt_capture_error().
#pragma once

// Forgets what was said and listens from now on.
void zt_capture_quiet(void);
