// An OCI registry for tests: the reference implementation, in memory, configured on standard input.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

func main() {
	config, err := configuration.Parse(os.Stdin)
	if err == nil {
		var server *registry.Registry
		if server, err = registry.NewRegistry(context.Background(), config); err == nil {
			err = server.ListenAndServe()
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
