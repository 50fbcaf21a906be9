package redact

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func newRedactor(t testing.TB, off ...engine.SensitiveKind) *Redactor {
	t.Helper()
	cfg := DefaultConfig()
	for _, kind := range off {
		cfg.Types[kind] = false
	}
	r, err := New(cfg)
	require.NoError(t, err)
	return r
}

// fake joins the pieces of a made-up key, so that no scanner of repositories takes it for a real one.
func fake(pieces ...string) string { return strings.Join(pieces, "") }

var (
	alnum   = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3gH5"
	upper16 = "ABCDEFGH12345678"
)

func TestRedactsWhatItShould(t *testing.T) {
	r := newRedactor(t)
	for _, c := range []struct{ name, in, want string }{
		{"email", "write to jane.doe+x@mail.example.co.uk.", "write to [EMAIL]."},
		{"email in brackets", "Jane <jane@example.com>", "Jane <[EMAIL]>"},
		{"email with apostrophe", "o'neil@example.com", "[EMAIL]"},
		{"email in code", "user='bob_1@example.org'", "user='[EMAIL]'"},
		{"two emails", "a@b.de,c@d.fr", "[EMAIL],[EMAIL]"},

		{"phone, US with country", "call +1 (415) 555-2671 now", "call [PHONE] now"},
		{"phone, US", "(415) 555-2671 or 415-555-2671 or 415.555.2671", "[PHONE] or [PHONE] or [PHONE]"},
		{"phone, toll free", "1-800-555-0199", "[PHONE]"},
		{"phone, UK", "+44 20 7946 0958 and 020 7946 0958 and 07700 900123", "[PHONE] and [PHONE] and [PHONE]"},
		{"phone, Germany", "+49 (0)30 1234567, 030/1234567, 0151-12345678, +4915112345678", "[PHONE], [PHONE], [PHONE], [PHONE]"},
		{"phone, France", "06 12 34 56 78 ou +33 6 12 34 56 78", "[PHONE] ou [PHONE]"},
		{"phone, Australia", "02 9999 9999", "[PHONE]"},
		{"phone, 00 prefix", "0049 151 12345678", "[PHONE]"},
		{"phone, bare digits named", "my phone number is 4155552671", "my phone number is [PHONE]"},
		{"phone, tel link", "tel:4155552671", "tel:[PHONE]"},

		{"card", "4111 1111 1111 1111 exp 12/26", "[CARD] exp 12/26"},
		{"card, hyphens", "5500-0000-0000-0004", "[CARD]"},
		{"card, bare", "card=378282246310005;", "card=[CARD];"},
		{"card, Amex groups", "3782 822463 10005", "[CARD]"},
		{"card, Diners", "30569309025904", "[CARD]"},
		{"card, JCB and Discover", "3530111333300000 6011111111111117", "[CARD] [CARD]"},

		{"iban", "DE89 3704 0044 0532 0130 00", "[IBAN]"},
		{"iban, compact", "to GB82WEST12345698765432.", "to [IBAN]."},
		{"iban, lower case", "nl91abna0417164300", "[IBAN]"},

		{"ipv4", "from 192.168.10.7:8080 and 10.0.0.1/24", "from [IP]:8080 and [IP]/24"},
		{"ipv4 at the end", "It was 203.0.113.9.", "It was [IP]."},
		{"ipv6", "2001:db8::ff00:42:8329, fe80::1 and ::1", "[IP], [IP] and [IP]"},
		{"ipv6 in a URL", "http://[2001:db8::1]:80/", "http://[[IP]]:80/"},
		{"ipv6, full", "2001:0db8:85a3:0000:0000:8a2e:0370:7334.", "[IP]."},
		{"ipv6, mapped", "::ffff:192.0.2.128", "[IP]"},

		{"OpenAI", fake("key sk", "-proj-", alnum), "key [KEY]"},
		{"Anthropic", fake("sk", "-ant-api03-", alnum), "[KEY]"},
		{"AWS", fake("AKI", "A", upper16), "[KEY]"},
		{"GitHub", fake("gh", "p_", alnum, " github", "_pat_", alnum), "[KEY] [KEY]"},
		{"Slack", fake("xo", "xb-1234567890-", alnum), "[KEY]"},
		{"Google", fake("AI", "za", alnum), "[KEY]"},
		{"Stripe", fake("sk", "_live_", alnum), "[KEY]"},
		{"JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P", "[KEY]"},
		{"bearer", fake("Authorization: Bearer ", alnum), "Authorization: Bearer [KEY]"},
		{"PEM", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nrest", "[KEY]\nrest"},
		{"PEM cut off", "x -----BEGIN PRIVATE KEY-----\nMIIE", "x [KEY]"},
		{"assigned key", fake(`api_key="`, alnum, `"`), `api_key="[KEY]"`},
		{"assigned key, JSON", fake(`{"client_secret": "`, alnum, `"}`), `{"client_secret": "[KEY]"}`},
		{"assigned key, header", fake("X-Auth-Token: ", alnum), "X-Auth-Token: [KEY]"},
		{"password", "password: hunter2x, user: bob", "password: [KEY], user: bob"},
		{"password in URL", "postgres://bob:s3cret@db.example.com/x", "postgres://[KEY]@db.example.com/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, found := r.Redact(c.in)
			require.Equal(t, c.want, got)
			require.Len(t, found, strings.Count(got, "[EMAIL]")+strings.Count(got, "[PHONE]")+strings.Count(got, "[CARD]")+strings.Count(got, "[IBAN]")+strings.Count(got, "[IP]")+strings.Count(got, "[KEY]"))
			again, more := r.Redact(got)
			require.Equal(t, got, again)
			require.Empty(t, more)
		})
	}
}

// What looks similar and is nothing of the kind stays, or texts become useless for everything behind.
func TestLeavesOrdinaryTextAlone(t *testing.T) {
	r := newRedactor(t)
	for _, text := range []string{
		"",
		"The meeting is on 2024-05-15 at 10:30:00, or on 05/15/2024, or 15.05.2024 14:00.",
		"2025-06-15T12:00:00.000Z and 2025-06-15 12:00:00+02:00",
		"order 4111111111111112 and order #0151-12345678, invoice 0201-4455-6677",
		"ISBN 978-3-16-148410-0, ISBN 9783161484100, ISBN-10 0-306-40615-2",
		"UUID 550e8400-e29b-41d4-a716-446655440000, 123e4567-e89b-12d3-a456-426614174000",
		"trace 2639b24ebc67997369080b5a4abb5eda span bb07d2833ea9701d at 1750000032064722881",
		"version 1.2.3.4, v1.2.3, release 10.0.0.1, go1.26.8, 1.2.3.4-beta",
		"prompt_tokens: 1571, max_tokens=4096, tokens: 128000, total 12345678",
		"It costs 1,234,567.89 or 1 234 567 EUR, +12.5 %, 3.14159265358979",
		"range 100-200-3000, 200 300 4000, 10-20, 1/2, 555-1234",
		"md5 d41d8cd98f00b204e9800998ecf8427e, sha a94a8fe5ccb19ba61c4c0873d391e987982fbbd3",
		"std::vector<int>, Data::Bad::Cafe, a::b, 12:30:45, aa:bb:cc:dd:ee:ff",
		"see @alice, @media, lodash@4.17.21, user@host and a @ b",
		"sk-learn is a scikit-learn nickname, task-management-and-planning-system",
		"password: required. Your password must be at least eight. token: none, secret: the garden",
		"the secret is out: nobody knows; api_key = os.environ['API_KEY'], password=$PASSWORD",
		"Bearer of bad news, bearer authentication is common",
		"DE89 is a postcode, GB82WEST12345698765431 has a wrong checksum",
		"temperature=0.7 top_p=0.95 seed=42 gpt-4o-2024-08-06 claude-3-5-sonnet-20241022",
		"Waterford, CT 06385-3823; netmask 255.255.255.0; floating in space ::10 island ::2 style",
		"flight HAT045 seats 1A 2B, reservation Q69X3R, payment_id certificate_7504069",
		"-----BEGIN CERTIFICATE----- is public",
		"https://example.com/a:b/c?d=e and http://localhost:8080/x@y",
		"already [EMAIL] and [KEY]: api_key=[KEY], Bearer [KEY]",
	} {
		got, found := r.Redact(text)
		require.Equal(t, text, got)
		require.Empty(t, found)
	}
}

func TestFindingsPointIntoTheOriginal(t *testing.T) {
	in := "mail bob@example.com, card 4111111111111111, ip 10.1.2.3"
	_, found := newRedactor(t).Redact(in)
	var got []string
	for _, f := range found {
		got = append(got, string(f.Kind)+" "+in[f.Start:f.End])
	}
	require.Equal(t, []string{"email bob@example.com", "card 4111111111111111", "ip_address 10.1.2.3"}, got)
}

func TestTypesAreSwitchable(t *testing.T) {
	in := fake("bob@example.com (415) 555-2671 4111111111111111 GB82WEST12345698765432 10.1.2.3 gh", "p_", alnum)
	for kind, placeholder := range placeholders {
		got, _ := newRedactor(t, kind).Redact(in)
		require.NotContains(t, got, placeholder)
		for other, p := range placeholders {
			if other != kind {
				require.Contains(t, got, p)
			}
		}
	}
	r, err := New(Config{Types: map[engine.SensitiveKind]bool{"phone": false}})
	require.NoError(t, err)
	got, _ := r.Redact("bob@example.com (415) 555-2671")
	require.Equal(t, "[EMAIL] (415) 555-2671", got, "a kind that is not named is on")

	_, err = New(Config{Types: map[engine.SensitiveKind]bool{"name": true}})
	require.ErrorContains(t, err, `unknown type "name"`)
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))
}

// Overlapping matches leave no piece of either behind.
func TestOverlapsAreJoined(t *testing.T) {
	found := resolve([]engine.Sensitive{{Kind: "email", Start: 5, End: 9}, {Kind: "phone", Start: 0, End: 6}, {Kind: "ip_address", Start: 9, End: 12}, {Kind: "card", Start: 0, End: 6}})
	require.Equal(t, []engine.Sensitive{{Kind: "card", Start: 0, End: 9}, {Kind: "ip_address", Start: 9, End: 12}}, found)
}

func TestConcurrentUse(t *testing.T) {
	r := newRedactor(t)
	got := make([]string, 4)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i], _ = r.Redact("bob@example.com") })
	}
	wg.Wait()
	require.Equal(t, []string{"[EMAIL]", "[EMAIL]", "[EMAIL]", "[EMAIL]"}, got)
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{
		"bob@example.com +1 (415) 555-2671 4111 1111 1111 1111", "DE89370400440532013000 10.0.0.1 2001:db8::1",
		fake("sk", "-", alnum, " Bearer ", alnum, " password=hunter2x"), "http://a:b@c.d -----BEGIN PRIVATE KEY-----", "0151-12345678-0151-12345678 1.2.3.4.5",
	} {
		f.Add(s)
	}
	r := newRedactor(f)
	f.Fuzz(func(t *testing.T, in string) {
		out, found := r.Redact(in)
		at := 0
		for _, x := range found {
			require.GreaterOrEqual(t, x.Start, at)
			require.Greater(t, x.End, x.Start)
			require.LessOrEqual(t, x.End, len(in))
			at = x.End
		}
		require.Equal(t, replace(in, found), out)
		again, more := r.Redact(out)
		require.Equal(t, out, again)
		require.Empty(t, more)
	})
}

func BenchmarkRedact(b *testing.B) {
	r := newRedactor(b)
	plain := strings.Repeat("The assistant books flight HAT045 for 2 passengers on 2024-05-15 at 10:30; the total is 1,234.50 USD. ", 11)[:1024]
	full := strings.Repeat("Reach me at bob@example.com or +1 (415) 555-2671, card 4111 1111 1111 1111, from 10.1.2.3. ", 13)[:1024]
	hostile := strings.Repeat("1-", 512)
	for _, c := range []struct{ name, text string }{{"plain", plain}, {"full", full}, {"hostile", hostile}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				r.Redact(c.text)
			}
		})
	}
}
