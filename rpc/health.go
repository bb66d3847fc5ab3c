package rpc

import (
	"net/http"
)

func (s *server) healthz(w http.ResponseWriter, r *http.Request) {}
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {}
