// Sends a click, and asks what its visitor will want next.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	nextclick "nextclick-client"
	nextclickv1 "nextclick-client/nextclick/v1"
)

func main() {
	target := "localhost:50051"
	if len(os.Args) > 1 {
		target = os.Args[1]
	}
	security := insecure.NewCredentials()
	if caFile := os.Getenv("NEXTCLICK_SERVER_CA_FILE"); caFile != "" {
		authority, err := credentials.NewClientTLSFromFile(caFile, "")
		if err != nil {
			log.Fatal(err)
		}
		security = authority
	}
	options := append(nextclick.Options(), grpc.WithTransportCredentials(security))
	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	events := nextclickv1.NewEventServiceClient(connection)
	recommendations := nextclickv1.NewRecommendationServiceClient(connection)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if tokenFile := os.Getenv("NEXTCLICK_TOKEN_FILE"); tokenFile != "" {
		token, err := os.ReadFile(tokenFile)
		if err != nil {
			log.Fatal(err)
		}
		bearer := "Bearer " + strings.TrimSpace(string(token))
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", bearer)
	}

	click := &nextclickv1.Event{
		EventId:     rand.Text(), // a retry with the same id counts once
		Type:        "view",
		SessionId:   "s1",
		ItemId:      "17116",
		TimestampMs: time.Now().UnixMilli(),
	}
	put, err := events.PutEvents(ctx, &nextclickv1.PutEventsRequest{
		Events: []*nextclickv1.Event{click},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("accepted", put.GetAccepted())

	answer, err := recommendations.Recommend(ctx, &nextclickv1.RecommendRequest{
		SessionId:    "s1",
		SessionItems: []string{"17116"}, // the click may still be on its way
		PageSize:     3,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print("next")
	for _, item := range answer.GetItems() {
		fmt.Print(" ", item.GetItemId())
	}
	fmt.Println()
}
