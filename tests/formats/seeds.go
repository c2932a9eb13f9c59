package main

import "strings"

// Returns the formats, each with its texts and the code of Kubernetes that judges them.
func formats(routes string) ([]format, error) {
	host, timeout, err := routeSchemas(routes)
	if err != nil {
		return nil, err
	}
	return []format{
		{"cron", "Schedules of CronJobs: ValidateCronJobCreate, which asks robfig/cron.", crons, "*?/-,0679@LW#+ ", rule(cronSchedule).verdict},
		{"time-zone", "Time zones of CronJobs: ValidateCronJobCreate with Go's own zones.", zones, "/._-+09aZ ", rule(timeZone).verdict},
		{"image", "Images: the kubelet's ParseImageName, with distribution/reference.", images, ":/@._-AZ09+ ", rule(image).verdict},
		{"quantity", "Quantities: ParseQuantity; rounded up to whole units, and to thousandths.", quantities, "0195.eEimkKMGn+-", quantity},
		{"amount-memory", "Memory of a container: ValidateContainerResourceRequirements.", quantities, "05.eimKG+-", amount("memory").verdict},
		{"amount-device", "Devices of a container: ValidateContainerResourceRequirements.", quantities, "05.eimku+-", amount("example.com/gpu").verdict},
		{"claim-size", "Sizes of claims: ValidatePersistentVolumeClaimSpec.", quantities, "07.EimKT+-", rule(claimSize).verdict},
		{"duration", "Durations: metav1.Duration; nanoseconds.", durations, "0159.hmsund-+", duration},
		{"route-duration", "Timeouts of HTTPRoutes: the schema of the Gateway API.", durations, "0159.hmsd-+ ", timeout.rule().verdict},
		{"label-key", "Keys of labels: ValidateLabels.", keys, "-_./aZ9 :", rule(labelKey).verdict},
		{"annotation-key", "Keys of annotations: ValidateAnnotations.", keys, "-_./aZ9 :", rule(annotationKey).verdict},
		{"label-value", "Values of labels: ValidateLabels.", values, "-_./aZ9 :", rule(labelValue).verdict},
		{"name", "DNS labels, RFC 1123: IsDNS1123Label.", names, "-_.aZ9/ ", label.verdict},
		{"subdomain", "DNS names, RFC 1123: IsDNS1123Subdomain.", domains, "-_.aZ9*/ ", domain.verdict},
		{"service-name", "Names of Services: ValidateServiceCreate.", names, "-_.aZ9/ ", rule(serviceName).verdict},
		{"service-name-1035", "Names of Services before Kubernetes 1.36: IsDNS1035Label.", names, "-_.aZ9/ ", oldName.verdict},
		{"ingress-host", "Hosts of rules of an Ingress: ValidateIngressCreate.", hosts, "*.-aZ91: ", rule(ingressHost).verdict},
		{"certificate-host", "Hosts of a certificate of an Ingress: ValidateIngressCreate.", hosts, "*.-aZ91: ", rule(certificateHost).verdict},
		{"route-host", "Hosts of HTTPRoutes: the schema of the Gateway API.", hosts, "*.-aZ91: ", host.rule().verdict},
		{"ip", "Addresses: ValidateHostAliases.", addresses, "0.1:f%/x9", rule(address).verdict},
		{"cidr", "Networks: ValidateIPBlock.", networks, "0.1:f/39%", rule(network).verdict},
		{"port-name", "Names of ports: IsValidPortName.", ports, "-a0Z_.9", portName.verdict},
		{"variable", "Names of environment variables: ValidateEnv.", variables, "=_-.a0 $", rule(variable).verdict},
		{"config-key", "Keys of ConfigMaps and Secrets: ValidateConfigMap.", configKeys, "._-a/0 =", rule(configKey).verdict},
		{"nfs-server", "Servers of NFS volumes: ValidateVolumes.", servers, ":/.-a0 ", rule(nfsServer).verdict},
		{"nfs-path", "Paths of NFS volumes: ValidateVolumes.", paths, "/.:a ", rule(nfsPath).verdict},
	}, nil
}

func long(text string, length int) string { return strings.Repeat(text, length) }

var crons = []string{
	"0 3 * * *", "0 3 * * 7", "*/5 * * * *", "0 2 * * mon-fri", "0,30 1-5 1 jan *", "0 0 * * SUN", "0 0 1 JAN-MAR *",
	"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@every 1h30m", "@every 10s", "@every 0s",
	"@every -1h", "@every", "@every 1d", "@every  1h", "@reboot", "@Daily", "@daily ", "? ? ? ? ?", "0 0 ? * *", "0 0 * * ?",
	"0/15 * * * *", "5/15 * * * *", "10-20/5 * * * *", "*/60 * * * *", "*/100 * * * *", "59/1 * * * *", "60 * * * *",
	"0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 0 *", "0 0 * 13 *", "0 0 * * 8", "0 0 * * 0-7", "0 0 * * 5-7",
	"0 0 * * sun-sat", "0 0 * * sat-sun", "0 0 * * fri-mon", "0 0 * * Monday", "0 0 L * *", "0 0 * * 5L", "0 0 15W * *",
	"0 0 * * 1#2", "*/0 * * * *", "*/-1 * * * *", "*/ * * * *", "/5 * * * *", "- * * * *", "1- * * * *", "-1 * * * *",
	"5-1 * * * *", "1-2-3 * * * *", "1/2/3 * * * *", ", * * * *", ",, * * * *", "1, * * * *", ",1 * * * *", "1,,2 * * * *",
	"*-5 * * * *", "*-a * * * *", "?-5 * * * *", "*,1 * * * *", "05 03 * * *", "+5 * * * *", "005 * * * *", "0x5 * * * *",
	"1_0 * * * *", "5 * * * * *", "* * * *", "* * * * * * *", "", " ", "*", "\t0\t3\t*\t*\t*", " 0 3 * * * ", "0 3 * * *\n",
	"TZ=UTC 0 3 * * *", "CRON_TZ=UTC 0 3 * * *", "CRON_TZ=Europe/Berlin 0 3 * * *", "TZ=0", "TZ=UTC @daily", "0 3 * * TZ",
	"a b c d e", "0 3 31 2 *", "0 3 30 feb *", "0 0 29 2 *", "99999999999999999999 * * * *", "0 0 jan * *", "mon * * * *",
	"0 0 * jan,feb,MAR *", "0 0 * jan-3 *", "0 0 * * mon-5", "*/05 * * * *", "*/+5 * * * *", "1-5/2,10-20/3,*/7 * * * *",
}

var zones = []string{
	"UTC", "Etc/UTC", "GMT", "Europe/Berlin", "Europe/Kiev", "Europe/Kyiv", "America/New_York", "America/Argentina/Buenos_Aires",
	"America/Argentina/ComodRivadavia", "America/Indiana/Indianapolis", "America/Port-au-Prince", "America/North_Dakota/New_Salem",
	"Asia/Kolkata", "Asia/Calcutta", "Asia/Ho_Chi_Minh", "Africa/Abidjan", "Antarctica/DumontDUrville", "Australia/Lord_Howe",
	"Etc/GMT+5", "Etc/GMT-14", "Etc/GMT+0", "GMT0", "EST", "MST", "EST5EDT", "CST6CDT", "W-SU", "PRC", "ROC", "ROK", "Zulu", "Universal",
	"US/Pacific", "US/Eastern", "GB", "GB-Eire", "NZ-CHAT", "Cuba", "Pacific/Kanton", "America/Ciudad_Juarez", "America/Coyhaique",
	"Local", "local", "LOCAL", "Europe/Berln", "Berlin", "Europe", "Europe/", "/Europe/Berlin", "Europe//Berlin", "../UTC", "./UTC", "Europe/../UTC",
	"CET", "CEST", "PST", "UTC+1", "+01:00", "GMT+1", "Etc/GMT+15", "Europe/Berlin ", "Mars/Olympus",
}

var digest = long("0123456789abcdef", 4)

var images = []string{
	"nextcloud", "nextcloud:34.0.3-apache", "docker.io/library/NextCloud:34:1", "library/nextcloud:34", "NextCloud", "Nextcloud:34",
	"localhost:5000/a/b", "localhost/a", "localhost", "LOCALHOST/a", "Registry/a", "registry.example.com/app:1.2.3", "Registry.Example.com/app:1",
	"registry.example.com/App:1", "registry.example.com:443/team/app:v1", "registry.example.com:/app", "registry.example.com:port/app",
	"10.0.0.1:5000/a:1", "[fd00::1]:5000/a:1", "[fd00::1]/a", "[::ffff:10.0.0.1]/a", "fd00::1/a", "-registry.example.com/a", "reg_istry.example.com/a",
	"registry..example.com/a", ".example.com/a", "registry.example.com./a", "a", "a:", ":a", "a:b:c", "a::b", "a/b/c/d/e/f:1", "a//b", "/a", "a/", "a b", "a b:1",
	"a_b", "a__b", "a___b", "a.b", "a..b", "a-b", "a--b", "a-.b", "a_.b", "-a", "a-", "_a", "a_", ".a", "a.", "a:_b", "a:-b", "a:.b", "a:B_c.d-e", "a:b/c", "a:b+c", "a:b~c",
	"a:" + long("b", 128), "a:" + long("b", 129), long("a", 255), long("a", 256), "registry.example.com/" + long("a", 255), "registry.example.com/" + long("a", 256),
	"a@sha256:" + digest, "a:1@sha256:" + digest, "a@sha256:" + strings.ToUpper(digest), "a@sha256:" + digest[1:], "a@sha256:" + digest + "0",
	"a@sha512:" + digest + digest, "a@sha384:" + digest + digest[:32], "a@sha512:" + digest, "a@md5:" + digest[:32], "a@sha256", "a@", "@sha256:" + digest,
	"a@sha256:12", "a@SHA256:" + digest, "a@sha256+b64:" + digest, "a@sha256:" + digest + "@sha256:" + digest, "a:1@", digest, digest + ":1", "a/" + digest,
	"https://registry.example.com/a:1", "docker.io/a", "index.docker.io/a", "docker.io/", "docker.io", "quay.io/a/b@sha256:" + digest, "ghcr.io/Org/app:1", "a\tb", "ä:1", "a:ä",
	"registry.example.com:99999/a", "registry.example.com/a:1 ", " registry.example.com/a:1", "", " ", "${IMAGE}", "{{ image }}", "a,b", "a;b", "a:latest", "sha256:" + digest,
}

var quantities = []string{
	"0", "1", "10", "20Gi", "1.5Ti", "0.5Ti", "500M", "1e9", "1E9", "1e3m", "1E3", "1E", "1e", "1e+3", "1e-3", "1e+", "1e-", "5000e-3", "+1Gi", "-1Gi", "+-1", "1000", ".5Ki", "2.", "2.Gi", ".", "+", "-", "+.", "Gi", "m", "e3", "E",
	"107374182400m", "1181116006400m", "3000000u", "3000000001n", "250m", "1.5", "1500000u", "2e-3", "1n", "0.1n", "0.5n", "1Ki", "1K", "1ki", "1KI", "1KiB", "1GB", "1gb", "1g", "1Gib", "1MI", "1mi", "1k", "1M", "1G", "1T", "1P", "1Mi", "1Ti", "1Pi", "1Ei",
	"7Ei", "8Ei", "4Ei", "5Ei", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "16Ei", "9E", "10E", "1e18", "1e19", "1e30", "1e99", "1e-9", "1e-10", "1e-99", "0e99", "0Gi", "0.0", "00", "007", "0x10", "1_000", "1,5", "1,000", "1..5", "1.5.5", "1 Gi", "10G B", "five", "inf", "NaN", "1e5e5", "1em", "1eK", "1me", "1Gim", "1mm", "1Mm", "1.", "1.e3", "1.5e3", "0.1Gi", "1.1Gi", "1.000000001", "1.0000000001",
	"999999999999999999", "9999999999999999999", "999999999999999999999999999999999999999999Gi", "0.000000000000000000000001", "1.00000000000000000000000000000000000000001", "123456789.123456789", "18014398509481984Ki", "1e003", "1e0", "1e-0", "1E-3", "1e3 ", " 1", "1\n", "", "１", "1𝟎", "1/2", "50%", "0.5", "2000m", "1e2", "100e-2", "8Gi", "64Mi", "1.5Gi", "2.5k", "0.001", "0.0001", "1.2345",
}

var durations = []string{
	"0", "0s", "1s", "90s", "15m", "12h", "7d", "1w", "30", "1.5h", "1h30m", "1h30m5s", "1h 30m", "30m1h", "1m1m", "100ms", "5us", "5µs", "5ns", "1ms1s", "-1s", "+1s", "-0s", ".5s", "1.s", ".s", "s", "h", "1", "1S", "1H", "1min", "1hour", "1sec", "99999h", "100000h", "99999s", "100000s", "2562047h47m16s", "2562048h", "4294967295s", "4294967296s", "9223372036s", "9223372037s", "99999999d", "1e3s", "1_0s", "0x5s", "1h2m3s4ms", "1h2m3s4ms5ms", "00001s", "000001s", "1,5h", "1 s", "", " ", "PT1H", "1:30", "always", "3600s", "5m0s", "1d12h", "1.5d", "1h-30m", "0.1ms", "1.000000001s",
}

var keys = []string{
	"a", "A", "9", "app.kubernetes.io/name", "example.com/Team_1", "example.com/team", "team", "a-b", "a_b", "a.b", "a--b", "a..b", "-a", "a-", "_a", "a_", ".a", "a.", "", " ", "a b", "/", "/a", "a/", "a/b", "a/b/c", "A.com/x", "Example.com/x", "EXAMPLE.COM/X", "a_b/c", "-a/b", "a-/b", "a..b/c", ".a/b", "a./b", "*.a/b", "1.2/3", "localhost/a", "kubernetes.io/a", "k8s.io/a",
	long("a", 63), long("a", 64), long("a", 253) + "/a", long("a", 63) + "/" + long("b", 63), long("a", 64) + "/b", long("a.", 126) + "a/b", long("a.", 126) + "aa/b", long("a.", 127) + "a/b", "a/" + long("b", 64), "ä", "a/ä", "ä/a", "a:b", "a=b", "a,b", "a\tb", "a\nb", "a/B-_.c", "a/-b", "a/b-", "a/.b", "a/_b", "a@b", "a%b", "a+b", "example.com:80/a", "https://example.com/a",
}

var values = []string{
	"", "a", "A", "9", "4711", "a.b_c-1", "a-b", "a--b", "a..b", "a__b", "-a", "a-", "_a", "a_", ".a", "a.", "a b", "a/b", "a:b", "true", "1.0", "v1.2.3", long("a", 63), long("a", 64), long("a.", 31) + "a", long("a.", 32), "ä", "a\nb", " ", "-", ".", "_", "a,b", "a=b", "A-Z", "blue team", "me@example.com", "2026-12-24", "2026-12-24T10:00:00Z", "sha256-abc", "x=y", "(a)", "a\\b", "a\"b", "\"a\"", "'a'", "a*", "*", "a+b", "1e3", "0x1F", "a~b",
}

var names = []string{
	"a", "a-b", "a--b", "a-1", "1a", "1", "123", "oc", "nextcloud", "-a", "a-", "A", "aB", "a_b", "a.b", "a b", "", " ", "-", "--", "a/b", "ä", "xn--mller-kva", long("a", 62), long("a", 63), long("a", 64), long("a", 62) + "-", "-" + long("a", 62), long("a-", 31) + "a", "a\n", "a:b", "a@b", "0-0", "9z", "z9", "a1-b2-c3", "kube-system", "default", "a.", ".a", "my_app", "My-App", "nextcloud-34", "34-nextcloud", "a---------b", "1-", "-1", "0", "00", "a*", "*", "*a", "a,b", "a+b", "ａ",
}

var domains = []string{
	"a", "a.b", "a.b.c", "files.example.com", "a-b.c-d", "a--b.c", "1.2.3.4", "10.0.0.1", "1", "a.1", "1.a", "-a.b", "a-.b", "a.-b", "a.b-", "A.b", "a.B", "a_b.c", "a..b", ".a", "a.", ".", "..", "", " ", "a b.c", "a/b.c", "*.a.b", "*", "*a.b", "a.*.b", "ä.example.com", "xn--mller-kva.example.com", long("a", 63) + ".b", long("a", 64) + ".b", long("a.", 126) + "a", long("a.", 126) + "aa", long("a.", 127), long("a.", 127) + "a", long("a", 253), long("a", 254), "localhost", "a:80", "a.b:443", "https://a.b", "a@b.c", "a.b\n", "0.0.0.0", "0x7f.1", "fd00::1", "a,b.c", "_acme.a.b", "a.b.c.d.e.f.g.h", "a1.b2.c3", "1-1.2-2", "a.b-c.d",
}

var hosts = append([]string{
	"*.example.com", "*.a", "*.", "*", "**.a", "*.*.a", "a.*.b", "*a.b", "a*.b", "*.A.b", "*.-a", "*.a-", "*.a_b", "*.1.2.3", "*.10.0.0.1", "foo.*", "*.example.com.", "*..a", " *.a", "*.a:80", "*." + long("a.", 125) + "a", "*." + long("a.", 125) + "aa", "*." + long("a", 64), "*.localhost", "*.xn--mller-kva.example.com", "010.0.0.1", "10.0.0", "1.2.3.4.5", "256.1.1.1", "1.2.3.04", "fd00::1", "[fd00::1]", "::1",
}, domains...)

var addresses = []string{
	"10.0.0.1", "0.0.0.0", "255.255.255.255", "256.0.0.1", "10.0.0", "10.0.0.1.1", "10.0.0.01", "010.0.0.1", "10.0.0.1/8", "10.0.0.1:80", " 10.0.0.1", "10.0.0.1 ", "10.0.0.", ".10.0.0.1", "10..0.1", "a.b.c.d", "167772161", "0x0a.0.0.1", "0x0a000001", "10.1", "+10.0.0.1", "-10.0.0.1", "1e1.0.0.1", "127.0.0.1", "localhost", "files.example.com",
	"::", "::1", "fd00::1", "FD00::1", "fd00:0:0:0:0:0:0:1", "fd00:0000:0000:0000:0000:0000:0000:0001", "fd00::00001", "fd00::1::2", "fd00:1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "1::8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7::8", ":1", "1:", ":::", "fd00::g", "fd00::1%eth0", "fe80::1%1", "[fd00::1]", "[fd00::1]:80", "::ffff:10.0.0.1", "::ffff:a00:1", "::10.0.0.1", "64:ff9b::10.0.0.1", "1:2:3:4:5:6:10.0.0.1", "1:2:3:4:5:6:7:10.0.0.1", "::ffff:10.0.0.01", "::10.0.0", "2001:db8::1", "2001:DB8::ABCD", "", " ", "any", "*", "fd00::1/64", "１.2.3.4",
}

var networks = []string{
	"10.0.0.0/8", "10.0.0.0/08", "10.0.0.0/008", "10.20.0.0/16", "10.0.0.1/8", "10.0.0.1/32", "10.0.0.1/31", "10.0.0.0/31", "0.0.0.0/0", "0.0.0.0/00", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.0/a", "10.0.0.0/255.0.0.0", "10.0.0.0 /8", "10.0.0.0/ 8", " 10.0.0.0/8", "10.0.0.0/8 ", "10.0.0.00/8", "010.0.0.0/8", "10/8", "10.0/16", "10.0.0.0.0/8", "256.0.0.0/8", "192.168.0.0/16", "192.168.1.0/16", "172.16.0.0/12", "172.16.0.0/11", "255.255.255.255/32",
	"::/0", "fd00::/8", "FD00::/8", "fd00::1/8", "fd00::1/128", "fd00::/129", "fd00::/0", "fd00:0:0:0:0:0:0:0/8", "fd00:0000::/8", "fd00::", "fd00::/64", "2001:db8::/32", "2001:db8:1::/32", "2001:DB8::/32", "::1/128", "::1/127", "::ffff:10.0.0.0/104", "::ffff:10.0.0.0/8", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b::10.0.0.0/96", "64:ff9b::10.0.0.0/104", "fd00::%eth0/64", "fe80::%1/64", "[fd00::]/8", "", " ", "any", "0/0", "default", "10.0.0.0/8,10.1.0.0/16", "10.0.0.0-10.0.0.255", "10.0.0.*",
}

var ports = []string{
	"http", "https", "a", "1", "80", "a1", "1a", "8080-tcp", "http-8080", "http-alt-admin", "http-alt-adminx", "http-alt-admi-", "abcdefghijklmno", "abcdefghijklmnop", "a-b", "a--b", "a---b", "-a", "a-", "-", "--", "A", "Http", "HTTP", "a_b", "a.b", "a b", "", " ", "a/b", "ä", "123456789012345", "12345678901234a", "a\n", "a:b", "0", "0a0", "1-1", "1-a", "a-1-b", "metrics", "web", "db", "redis", "fpm", "tcp-80-", "*", "a+b", "x1-2-3-4-5-6-7-", "x1-2-3-4-5-6-7", "grpc", "dns-tcp", "dns_tcp", "p0", "0-0",
}

var variables = []string{
	"A", "a", "_", "_A", "A_B", "A1", "1A", "1", "MY-VAR", "my.var", "A B", " A", "A ", "A=B", "=", "=A", "A=", "", " ", "A\tB", "A\n", "ä", "Ä", "A,B", "$A", "${A}", "A$", "A'B", "A\"B", "\"A\"", "A\\B", "A/B", "A:B", "A;B", "A(B)", "A{B}", "A[B]", "A|B", "A&B", "A*B", "A?B", "A!B", "A~B", "~", "!", "A`B", "A@B", "A#B", "A%B", "A^B", "A+B", "A<B", "A>B", ".", "..", "-", "--", "A.", ".A", "..A", "-A", "A-", long("A", 63), long("A", 64), long("A", 300), "PATH", "MYSQL_PASSWORD", "日本", "A\u007f", "A\u0000",
}

var configKeys = []string{
	"a", "A", "a.b", "a-b", "a_b", "config.php", ".htaccess", ".", "..", "...", "..a", ".a", "a..", "a..b", "a.", "-", "_", "-a", "a-", "", " ", "a b", "a/b", "/a", "a/", "a\\b", "a:b", "a=b", "ä", "a\n", "a\tb", "tls.crt", "ca.crt", ".dockerconfigjson", "1", "00", "a,b", "a+b", "a@b", "a*", "~a", "a~", "a%b", "(a)", "UPPER_CASE", "a.b.c.d", "._", ".-", ".._", "..-a", long("a", 63), long("a", 253), long("a", 254), "." + long("a", 252), "my.cnf", "00-default.conf", "a#b", "$a", "{{a}}",
}

var servers = []string{
	"nas", "nas.example.com", "10.0.0.1", "fd00::1", "[fd00::1]", "10.0.0.1:2049", "nas/a", "nas:/a", "a b", " ", "", "\t", "-", ".", "NAS", "nas_1", "ä", "nas.", "nas\n", "https://nas", "*", "nas,nas2", "10.0.0.300", "fb1.data.example.com", "{{ server }}", "nas@a", "nas;a", "$(reboot)", "`a`", "'nas'",
}

var paths = []string{
	"/", "/a", "/a/b", "/a/", "//", "//a", "/a//b", "/a/../b", "/..", "/.", "/a/.", "/a b", "/ä", "/a:b", "a", "a/b", "", " ", ".", "..", "./a", "../a", " /a", "~", "~/a", "C:\\a", "\\a", "nas:/a", ":/a", "/a\n", "\n/a", "/a\tb", "/*", "/a,b", "/{{ path }}", "/$(a)", "/'a'", "/\"a\"", "/a#b", "/a?b", "/" + long("a", 255), "/" + long("a", 300), "/" + long("a/", 200), "/nextcloud-data", "/pso-gen/nc-data", "%2Fa",
}
