"""Makes file systems by the vendor's SDK, one after the other, and tells how long each took."""

import sys
import time

from pypureclient import flashblade

NUMBER = 300


def main(url, token):
    client = flashblade.Client(url.removeprefix("https://"), api_token=token)
    client.get_arrays()
    times = []
    for number in range(NUMBER):
        body = flashblade.FileSystemPost(
            provisioned=1 << 30,
            hard_limit_enabled=True,
            nfs=flashblade.Nfs(v4_1_enabled=True, rules="10.20.0.0/16(rw,no_root_squash)"),
        )
        start = time.perf_counter()
        answer = client.post_file_systems(names=[f"sdk-{number}"], file_system=body)
        times.append((time.perf_counter() - start) * 1000)
        if answer.status_code != 200:
            sys.exit(str(answer.errors))
    times.sort()
    print(f"p50 {times[len(times) // 2]:.2f} ms, p99 {times[len(times) * 99 // 100]:.2f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
