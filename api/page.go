package api

import (
	"embed"
	"net/http"

	"github.com/gin-gonic/gin"
)

//go:embed ui
var pageFS embed.FS

// pageFile is a file of the page that people look at.
type pageFile struct {
	name        string
	contentType string
}

var pageFiles = map[string]pageFile{
	"/":             {"ui/index.html", "text/html; charset=utf-8"},
	"/ui/app.js":    {"ui/app.js", "text/javascript; charset=utf-8"},
	"/ui/style.css": {"ui/style.css", "text/css; charset=utf-8"},
}

func servePage(file pageFile) gin.HandlerFunc {
	return func(c *gin.Context) {
		content, err := pageFS.ReadFile(file.name)
		if err != nil { // the names are fixed with the files
			c.Status(http.StatusInternalServerError)
			return
		}
		c.Header("Content-Security-Policy", policyPage)
		c.Header("Cache-Control", "no-cache")
		c.Data(http.StatusOK, file.contentType, content)
	}
}
