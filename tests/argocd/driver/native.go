package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Native is what a plugin server of our own could save at most: it reads the repository from the stream,
// writes none of it to a disk, starts no program, and answers with a text that it has already.
type native struct{ answer []string }

func serve(file, socket string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(apiclient.MaxGRPCMessageSize))
	apiclient.RegisterConfigManagementPluginServiceServer(server, &native{[]string{string(text)}})
	return server.Serve(listener)
}

func (n *native) GenerateManifest(stream apiclient.ConfigManagementPluginService_GenerateManifestServer) error {
	var packed bytes.Buffer
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if file := request.GetFile(); file != nil {
			packed.Write(file.Chunk)
		}
	}
	if err := discard(&packed); err != nil {
		return err
	}
	return stream.SendAndClose(&apiclient.ManifestResponse{Manifests: n.answer, SourceType: "native"})
}

func (n *native) CheckPluginConfiguration(context.Context, *emptypb.Empty) (*apiclient.CheckPluginConfigurationResponse, error) {
	return &apiclient.CheckPluginConfigurationResponse{}, nil
}

func (n *native) MatchRepository(apiclient.ConfigManagementPluginService_MatchRepositoryServer) error {
	return errors.New("not asked for")
}

func (n *native) GetParametersAnnouncement(apiclient.ConfigManagementPluginService_GetParametersAnnouncementServer) error {
	return errors.New("not asked for")
}
