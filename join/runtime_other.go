//go:build !unix

package join

import "os"

// privateDir tells why a directory cannot be used. Access lists are not looked at.
func privateDir(path string) (why string) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return err.Error()
	case !st.IsDir():
		return "it is not a directory"
	}
	return ""
}
