package report

import (
	"encoding/json"
	"html"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
)

// browse runs the browser without a network on a file and returns what it printed.
func browse(t *testing.T, file string, args ...string) string {
	t.Helper()
	browser := stacktest.Require(t, "SENTINEL_CHROMIUM")
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--force-device-scale-factor=1",
		"--window-size=1280,2400", "--disable-background-networking", "--proxy-server=127.0.0.1:9",
		"--user-data-dir=" + t.TempDir(),
	}, args...)
	cmd := exec.CommandContext(t.Context(), browser, append(args, "file://"+file)...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	return string(out)
}

// rectangle is where an element lies on the screen, in pixels.
type rectangle struct {
	Class               string
	X, Y, Width, Height float64
}

// measuring is what a copy of the page is given to tell where its curves are; the page itself has no script.
const measuring = `<script>
const measured = [...document.querySelectorAll('.chart path.curve, .bar rect.interval, .heat td')].map(e => {
  const r = e.getBoundingClientRect();
  return {Class: e.getAttribute('class') || 'cell', X: r.x, Y: r.y, Width: r.width, Height: r.height};
});
const out = document.createElement('pre');
out.id = 'measured';
out.textContent = JSON.stringify(measured);
document.body.append(out);
</script>`

var (
	policy       = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`)
	measuredText = regexp.MustCompile(`(?s)<pre id="measured">(.*?)</pre>`)
)

func TestChartsAreSeenInABrowser(t *testing.T) {
	dir := written(t, sample(), nil)
	page := filepath.Join(dir, HTML)
	copied := filepath.Join(dir, "measured.html")
	require.NoError(t, os.WriteFile(copied, []byte(policy.ReplaceAllString(content(t, dir, HTML), "")+measuring), 0o644))

	found := measuredText.FindStringSubmatch(browse(t, copied, "--dump-dom"))
	require.NotNil(t, found, "the browser ran the script that measures")
	var seen []rectangle
	require.NoError(t, json.Unmarshal([]byte(html.UnescapeString(found[1])), &seen))
	byClass := make(map[string][]rectangle)
	for _, r := range seen {
		byClass[r.Class] = append(byClass[r.Class], r)
		require.Positive(t, r.Width, r)
		require.Positive(t, r.Height, r)
	}
	require.Len(t, byClass["curve c0"], 1)
	require.Len(t, byClass["interval"], 6, "three metrics, each in the overview and in its suite")
	require.Len(t, byClass["cell"], 4)
	curve := byClass["curve c0"][0]
	require.Greater(t, curve.Width, 200.0, "a curve that a person can read")
	require.Greater(t, curve.Height, 100.0)

	shot := filepath.Join(dir, "page.png")
	browse(t, page, "--screenshot="+shot)
	f, err := os.Open(shot)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	picture, err := png.Decode(f)
	require.NoError(t, err)
	area := image.Rect(int(curve.X), int(curve.Y), int(curve.X+curve.Width), int(curve.Y+curve.Height))
	require.True(t, area.In(picture.Bounds()), "the chart is on the picture")
	// The square root climbs from corner to corner, so every column of its rectangle has some of its colour, two pixels or so thick.
	painted, columns := count(picture, area, color.RGBA{R: 0x0b, G: 0x5f, B: 0xce, A: 0xff})
	require.Greater(t, columns, area.Dx()*9/10)
	require.Less(t, painted, area.Dx()*area.Dy()/10, "a line, not a surface")
	require.Len(t, byClass["curve c1"], 1)
	painted, _ = count(picture, area, color.RGBA{R: 0xb0, G: 0x4a, A: 0xff})
	require.Greater(t, painted, area.Dx()/4, "the baseline's curve is in the same chart")
}

// count is how many pixels of an area are of about a colour, and how many of its columns have one.
func count(picture image.Image, area image.Rectangle, want color.RGBA) (pixels, columns int) {
	near := func(a uint32, b uint8) bool { return max(int(a>>8), int(b))-min(int(a>>8), int(b)) < 48 }
	for x := area.Min.X; x < area.Max.X; x++ {
		before := pixels
		for y := area.Min.Y; y < area.Max.Y; y++ {
			if r, g, b, _ := picture.At(x, y).RGBA(); near(r, want.R) && near(g, want.G) && near(b, want.B) {
				pixels++
			}
		}
		if pixels > before {
			columns++
		}
	}
	return pixels, columns
}
